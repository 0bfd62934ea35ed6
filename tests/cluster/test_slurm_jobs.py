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


def submit(slurm: slurm_cluster.Slurm, *words: str, node: str = "") -> str:
    """The number of a job: on both nodes with two cores each, or with one core on the named one."""
    where = (f"--nodelist={node}", "--nodes=1", "--cpus-per-task=1")
    where = where if node else ("--nodes=2", "--cpus-per-task=2")
    done = slurm.run("sbatch", "--parsable", *where, "famus.sbatch", *words)
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
    job = submit(slurm, *words)
    assert ended(slurm, job) == "COMPLETED 0:0", log(slurm, job)
    assert len({event["node"] for event in events(slurm, job) if "node" in event}) == 2
    trials = fr.load_trials(slurm.machines.shared / "runs" / f"job-{job}")
    assert trials["state"].tolist() == ["completed"] * 4
    assert what_is_left(slurm) == []


def test_jobs_at_once_on_a_node_go_their_own_ways(slurm):
    """One runs out of time, is requeued and goes on; one is cancelled; one is a mistake."""
    first, second = map(slurm.machines.name, slurm.machines.addresses)
    words = ("tune", "quick", "--trials", "2", *TINY)
    goes_on = submit(slurm, *words, "schedule.epochs=15", node=first)
    cancelled = submit(slurm, *words, "schedule.epochs=500", node=first)
    mistaken = submit(slurm, *words, "nosuch=1", node=second)
    jobs = (goes_on, cancelled, mistaken)
    for job in (goes_on, cancelled):  # both run, on one node
        while reported(slurm, job) < 2:
            assert slurm.run("squeue", "-h", "-j", job).stdout, log(slurm, job)
            time.sleep(0.5)
    ports = {re.search(r"scale.address=\S+:(\d+)", log(slurm, job))[1] for job in jobs}
    assert len(ports) == 3
    token = slurm.machines.shared / "runs" / f".slurm-{goes_on}" / "token"
    assert (token.stat().st_mode & 0o777, token.parent.stat().st_mode & 0o777) == (0o600, 0o700)

    assert reported(slurm, goes_on) < 30
    slurm.run("scancel", "--batch", "--signal=TERM", goes_on)  # as Slurm does before the limit
    assert slurm.run("scancel", cancelled).returncode == 0
    assert ended(slurm, cancelled, 60).startswith("CANCELLED")
    assert ended(slurm, mistaken) == "FAILED 2:0"
    assert ended(slurm, goes_on) == "FAILED 1:0"
    assert f"go on with: famus-ray resume /mnt/shared/runs/job-{goes_on}" in log(slurm, goes_on)
    assert what_is_left(slurm) == []

    assert slurm.run("scontrol", "requeue", goes_on).returncode == 0
    assert ended(slurm, goes_on) == "COMPLETED 0:0", log(slurm, goes_on)
    assert "going on with the study" in log(slurm, goes_on)
    trials = fr.load_trials(slurm.machines.shared / "runs" / f"job-{goes_on}")
    assert trials["state"].tolist() == ["completed"] * 2
    assert trials["epochs"].tolist() == [15] * 2
    assert what_is_left(slurm) == []
