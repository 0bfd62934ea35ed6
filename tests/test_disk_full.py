"""A full disk, a limit on files, a read-only folder: one line that names the file."""

from __future__ import annotations

import errno
import os
import resource
import shutil
import subprocess
from pathlib import Path

import pandas as pd
import pytest
import torch

from famus_ray.cli.options import check_target
from famus_ray.data.made_up import make
from famus_ray.errors import UserError
from famus_ray.files import NotWritten, write_text
from famus_ray.records.checkpoint import load_checkpoint, save_checkpoint
from famus_ray.records.tables import CURVES, write_table


@pytest.fixture(params=["file-size limit", "full disk"])
def small(request, tmp_path: Path):
    """A folder in which no file may be larger than 64 KiB, or all of them together."""
    if request.param == "file-size limit":
        limits = resource.getrlimit(resource.RLIMIT_FSIZE)
        resource.setrlimit(resource.RLIMIT_FSIZE, (65536, limits[1]))
        yield tmp_path
        resource.setrlimit(resource.RLIMIT_FSIZE, limits)
        return
    mount = tmp_path / "disk"
    mount.mkdir()
    yield from mounted(mount, "size=64k")


def mounted(path: Path, options: str):
    if os.getuid() or not shutil.which("mount"):
        pytest.skip("a file system of its own takes root to mount")
    command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(path)]
    done = subprocess.run(command, capture_output=True, text=True, check=False)
    if done.returncode:
        pytest.skip(f"no tmpfs can be mounted here: {done.stderr}")
    yield path
    subprocess.run(["umount", str(path)], check=True)


BIG = {
    "text": lambda path: write_text(path, "x" * 200_000),
    "checkpoint": lambda path: save_checkpoint(path, {"w": torch.rand(100_000)}),
    "table": lambda path: write_table(
        path, CURVES,
        pd.DataFrame({"epoch": range(50_000), "metric": "a", "value": torch.rand(50_000)}),
    ),
}  # fmt: skip


@pytest.mark.parametrize("write", BIG.values(), ids=BIG)
def test_a_file_that_does_not_fit_is_named_and_the_old_one_stays(small: Path, write):
    file = small / "file"
    file.write_text("old")
    with pytest.raises(NotWritten) as caught:
        write(file)
    assert str(caught.value).startswith(f"{file}: cannot be written (")
    assert caught.value.errno in (errno.ENOSPC, errno.EFBIG)
    assert [p.name for p in small.iterdir()] == ["file"]
    assert file.read_text() == "old"


def test_a_checkpoint_that_did_not_fit_can_be_written_once_there_is_room(small: Path):
    file, ballast = small / "last.pt", small / "ballast"
    save_checkpoint(file, {"epoch": 1})
    with pytest.raises(NotWritten):
        save_checkpoint(file, {"epoch": 2, "w": torch.rand(100_000)})
    assert load_checkpoint(file, torch.device("cpu"))["epoch"] == 1
    ballast.unlink(missing_ok=True)
    save_checkpoint(file, {"epoch": 3})
    assert load_checkpoint(file, torch.device("cpu"))["epoch"] == 3


def test_made_up_data_are_there_whole_or_not_at_all(small: Path):
    with pytest.raises(NotWritten, match="cannot be written"):
        make("cifar10", small / "data")
    assert list(small.iterdir()) == []


def test_a_target_that_cannot_be_written_is_refused_before_the_work(tmp_path: Path):
    for path in mounted(tmp_path, "ro"):
        with pytest.raises(UserError, match="cannot be written to; choose another"):
            check_target(path / "labels.csv", ".csv")
