"""cluster/slurm/famus.sbatch on a real Slurm of two nodes, Debian's, with munge."""

from __future__ import annotations

import re
import shutil
import time
from collections.abc import Iterator

import pytest
import slurm_cluster
from machines import SOURCE, Machines, why_not

import famus_ray as fr
from famus_ray.records.ledger import read_events

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(400)]

TINY = ("run.threads=1", "model.widths=[4,4,8]", "study.scheduler=none")


@pytest.fixture(scope="module")
def slurm(request: pytest.FixtureRequest) -> Iterator[slurm_cluster.Slurm]:
    if reason := why_not(slurm_cluster.NEEDED):
        pytest.skip(reason)
    machines: Machines = request.getfixturevalue("machines")
    with slurm_cluster.Slurm(machines).up() as up:
        shutil.copy(SOURCE / "cluster" / "slurm" / "famus.sbatch", machines.shared)
        yield up


def submit(slurm: slurm_cluster.Slurm, *words: str, nodes: int = 1, cpus: int = 1) -> str:
    sizes = (f"--nodes={nodes}", f"--cpus-per-task={cpus}")
    done = slurm.run("sbatch", "--parsable", *sizes, "famus.sbatch", *words)
    assert done.returncode == 0, done.stderr
    return done.stdout.strip()


def ended(slurm: slurm_cluster.Slurm, job: str, seconds: float = 240) -> str:
    """The state and exit code of a job, once it has ended."""
    end = time.monotonic() + seconds
    while True:
        shown = slurm.run("scontrol", "show", "job", job).stdout
        state = field(shown, "JobState")
        if state not in ("PENDING", "RUNNING", "COMPLETING"):
            return f"{state} {field(shown, 'ExitCode')}"
        assert time.monotonic() < end, shown + log(slurm, job)
        time.sleep(0.5)


def field(shown: str, name: str) -> str:
    """A value in what scontrol shows."""
    return re.search(rf"{name}=(\S+)", shown)[1]


def log(slurm: slurm_cluster.Slurm, job: str) -> str:
    path = slurm.machines.shared / f"famus-ray-{job}.out"
    return path.read_text() if path.is_file() else ""


def events(slurm: slurm_cluster.Slurm, job: str) -> list[dict]:
    ledger = slurm.machines.shared / "runs" / f"job-{job}" / "ledger.jsonl"
    return read_events(ledger) if ledger.is_file() else []


def reported(slurm: slurm_cluster.Slurm, job: str) -> int:
    return sum(event["event"] == "reported" for event in events(slurm, job))


def what_is_left(slurm: slurm_cluster.Slurm) -> list[str]:
    """Processes and files of jobs on the nodes, and what they told each other."""
    found = [str(path) for path in (slurm.machines.shared / "runs").glob(".slurm-*")]
    for address in slurm.machines.addresses:
        found += [
            line
            for line in slurm.machines.processes(address)
            if re.search(r"ray|slurmstepd|famus", line.replace(str(SOURCE), ""))
            and not re.search(r"sshd|slurmd -f|slurmctld -f", line)
        ]
        listed = slurm.machines.on(address, "ls", "/tmp").stdout.split()
        found += [name for name in listed if name.startswith("famus-")]
    return found


def test_a_study_over_two_nodes_ends_with_exit_code_0_and_leaves_nothing(slurm):
    words = ("tune", "quick", "--trials", "4", *TINY)
    job = submit(slurm, *words, nodes=2, cpus=2)
    assert ended(slurm, job) == "COMPLETED 0:0", log(slurm, job)
    assert len({event["node"] for event in events(slurm, job) if "node" in event}) == 2
    trials = fr.load_trials(slurm.machines.shared / "runs" / f"job-{job}")
    assert trials["state"].tolist() == ["completed"] * 4
    assert what_is_left(slurm) == []


def test_two_jobs_on_one_node_do_not_disturb_each_other_and_a_mistake_is_exit_code_2(slurm):
    first = slurm.machines.name(slurm.head)
    slurm.run("scontrol", "update", f"NodeName={slurm.machines.name('10.77.0.5')}", "State=drain",
              "Reason=test")  # fmt: skip
    words = ("tune", "quick", "--trials", "1", *TINY)
    jobs = [submit(slurm, *words), submit(slurm, *words, "nosuch=1"), submit(slurm, *words)]
    assert [ended(slurm, job) for job in jobs] == ["COMPLETED 0:0", "FAILED 2:0", "COMPLETED 0:0"]
    shown = [slurm.run("scontrol", "show", "job", job).stdout for job in jobs]
    assert {field(text, " NodeList") for text in shown} == {first}
    starts = [field(text, " StartTime") for text in shown]
    assert max(starts) < min(field(text, "EndTime") for text in shown)  # all three ran at once
    ports = {re.search(r"scale.address=\S+:(\d+)", log(slurm, job))[1] for job in jobs}
    assert len(ports) == 3
    assert what_is_left(slurm) == []
    slurm.run("scontrol", "update", f"NodeName={slurm.machines.name('10.77.0.5')}", "State=resume")


def test_scancel_leaves_nothing_and_a_requeue_goes_on(slurm):
    job = submit(slurm, "tune", "quick", "--trials", "2", *TINY, "schedule.epochs=15")
    while reported(slurm, job) < 4:
        assert slurm.run("squeue", "-h", "-j", job).stdout, log(slurm, job)
        time.sleep(0.5)
    token = slurm.machines.shared / "runs" / f".slurm-{job}" / "token"
    assert (token.stat().st_mode & 0o777, token.parent.stat().st_mode & 0o777) == (0o600, 0o700)
    assert slurm.run("scontrol", "requeue", job).returncode == 0
    before = reported(slurm, job)
    assert before < 30
    assert ended(slurm, job) == "COMPLETED 0:0", log(slurm, job)
    assert "going on with the study" in log(slurm, job)
    trials = fr.load_trials(slurm.machines.shared / "runs" / f"job-{job}")
    assert trials["state"].tolist() == ["completed"] * 2
    assert trials["epochs"].tolist() == [15] * 2

    job = submit(slurm, "tune", "quick", "--trials", "4", *TINY, "schedule.epochs=500")
    while reported(slurm, job) < 2:
        assert slurm.run("squeue", "-h", "-j", job).stdout, log(slurm, job)
        time.sleep(0.5)
    slurm.run("scancel", job)
    assert ended(slurm, job, 60).startswith("CANCELLED")
    end = time.monotonic() + 30
    while (left := what_is_left(slurm)) and time.monotonic() < end:
        time.sleep(1)
    assert left == []
