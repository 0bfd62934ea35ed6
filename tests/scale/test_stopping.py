"""What is the machine's fault and not a trial's: a full disk, met for real."""

import errno
import subprocess

import pytest

from famus_ray.config.resolve import resolve
from famus_ray.errors import UserError
from famus_ray.scale.parcel import parcel
from famus_ray.scale.stopping import machine_fault
from famus_ray.scale.trial_process import TrialProcess


@pytest.fixture
def small_disk(tmp_path):
    """A file system of 200 kB; left out where this user may mount none."""
    mount = ["mount", "-t", "tmpfs", "-o", "size=200k", "tmpfs", str(tmp_path)]
    try:
        done = subprocess.run(mount, capture_output=True, check=False)
    except FileNotFoundError:
        pytest.skip("left out: a trial on a full disk; there is no mount here")
    if done.returncode:
        pytest.skip("left out: a trial on a full disk; this user may mount no file system")
    yield tmp_path
    subprocess.run(["umount", "-l", str(tmp_path)], check=True)


def test_a_full_disk_is_no_fault_of_the_trial(small_disk):
    more = ["schedule.epochs=1", "run.threads=1", "run.batch_size=256", "method=ce"]
    base = resolve("digits", more).config.model_dump(mode="json")
    process = TrialProcess(base, str(small_disk), parcel(()))
    process.begin(0, {})
    result = process.step()
    assert (result["end"], result["fault"]) == ("failed", True), result["error"]
    assert result["error"].startswith("Traceback")


@pytest.mark.parametrize("code", ["ENOSPC", "EDQUOT", "EFBIG", "EACCES", "EROFS"])
def test_what_the_machine_refuses_is_its_fault_also_behind_another_error(code):
    error = OSError(getattr(errno, code), "no", "runs/x")
    assert "runs/x" in machine_fault(error)
    behind = UserError("x: cannot be read")
    behind.__cause__ = error
    assert "runs/x" in machine_fault(behind)


def test_a_mistake_of_the_training_is_its_own():
    assert machine_fault(ValueError("no")) is None
    assert machine_fault(FileNotFoundError(errno.ENOENT, "no", "x")) is None
