"""cluster/onprem/cluster.yaml on two machines, edited as its comments say, by the commands."""

from __future__ import annotations

import shutil
import subprocess
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from machines import SOURCE, Machines

import famus_ray as fr
from famus_ray.records.ledger import read_events

pytestmark = [pytest.mark.cluster, pytest.mark.timeout(600)]

SETTINGS = ("run.threads=1", "model.name=nets:tiny", "study.scheduler=none", "schedule.epochs=12")
NETS = """
from torch import nn
from parts import features

def tiny(classes, channels):
    return nn.Sequential(features(channels), nn.Linear(8, classes))
"""
PARTS = """
from torch import nn

def features(channels):
    layers = nn.Conv2d(channels, 8, 3, padding=1), nn.BatchNorm2d(8), nn.ReLU()
    return nn.Sequential(*layers, nn.AdaptiveAvgPool2d(1), nn.Flatten())
"""


@pytest.fixture(scope="module")
def file(machines: Machines) -> Path:
    """The shipped file with the machines' addresses, user and key."""
    text = (SOURCE / "cluster" / "onprem" / "cluster.yaml").read_text(encoding="utf-8")
    head, worker = machines.addresses
    edits = {
        "10.0.0.4": head, "10.0.0.5": worker, "ubuntu": "root",
        "~/.ssh/id_ed25519": str(machines.key), "cluster_name: famus": "cluster_name: famus-test",
    }  # fmt: skip
    for old, new in edits.items():
        assert old in text
        text = text.replace(old, new)
    path = machines.home / "cluster.yaml"
    path.write_text(text, encoding="utf-8")
    return path


@pytest.fixture
def own(tmp_path: Path) -> Path:
    """A working directory with a space and a network of one's own, which only the laptop has."""
    folder = tmp_path / "own"
    folder.mkdir()
    shutil.copy(SOURCE / "search_spaces" / "quick.yaml", folder / "space.yaml")
    (folder / "nets.py").write_text(NETS, encoding="utf-8")
    (folder / "parts.py").write_text(PARTS, encoding="utf-8")
    return folder


@pytest.fixture(scope="module")
def famus_ray(machines: Machines, file: Path) -> Callable[..., subprocess.CompletedProcess[str]]:
    def run(verb: str, *more: str, code: int = 0) -> subprocess.CompletedProcess[str]:
        done = subprocess.run(
            machines.laptop("famus-ray", "cluster", verb, str(file), *more),
            cwd=SOURCE, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == code, done.stdout + done.stderr
        return done

    return run


def test_a_study_over_two_machines_outlives_one_of_them(
    machines: Machines, file: Path, famus_ray, own: Path, tmp_path: Path
):
    head, worker = machines.addresses
    machines.on(worker, "mount", "-t", "tmpfs", "tmpfs", "/mnt/shared")  # not the same folder
    told = famus_ray("up", code=1).stderr
    assert f"{machines.name(worker)} does not agree with the head: /mnt/shared/runs: " in told
    assert "mount the same folder on all machines\n1 of 2: " in told
    machines.on(worker, "umount", "/mnt/shared")
    famus_ray("up")
    mode = machines.on(worker, "stat", "-c", "%a", "/root/.ray/auth_token").stdout
    assert mode == "600\n"
    status = famus_ray("status").stdout
    assert "4.0 CPU" in status  # two machines of two cores
    assert famus_ray("submit", "--", "tune", "quick", "nosuch=1", code=2)  # exit codes come through
    looked = famus_ray("submit", "--", "check", "--cluster").stdout
    assert "ok      token: who has none is refused" in looked
    for one, other in ((head, worker), (worker, head)):
        assert f"\n{machines.name(one)} ({one})" in looked
        assert f"all-reduce with {machines.name(other)} ({other}) by gloo over eth0" in looked
    assert "run.root = /mnt/shared/runs: what " in looked

    command = ("submit", str(file), "--", "tune", "space.yaml", "--trials", "8", "--name", "study")
    log = (tmp_path / "study.log").open("w+")
    study = subprocess.Popen(
        machines.laptop("famus-ray", "cluster", *command, *SETTINGS),
        cwd=own, stdout=log, stderr=log, text=True,
    )  # fmt: skip
    ledger = machines.shared / "runs" / "study" / "ledger.jsonl"

    def nodes() -> set[str]:
        events = read_events(ledger) if ledger.is_file() else []
        return {event["node"] for event in events if event["event"] == "reported"}

    while len(nodes()) < 2 and study.poll() is None:
        time.sleep(0.2)
    assert study.poll() is None, (tmp_path / "study.log").read_text()
    machines.kill(worker)
    assert study.wait(timeout=240) == 0, (tmp_path / "study.log").read_text()
    assert "trials 8/8" in (tmp_path / "study.log").read_text()

    famus_ray("fetch", "study", "--to", str(tmp_path / "runs"))
    trials = fr.load_trials(tmp_path / "runs" / "study")
    assert trials["state"].tolist() == ["completed"] * 8
    assert trials["epochs"].tolist() == [12] * 8
    assert trials["attempts"].max() == 2  # those of the lost machine were begun again

    assert f"still there: Ray on {head}" in famus_ray("down", "--check", code=1).stderr
    assert "nothing is billed" in famus_ray("down").stdout
    left = famus_ray("down", "--check", code=1)
    assert (left.stdout, f"not known: Ray on {worker}" in left.stderr) == ("", True)
    assert [line for line in machines.processes(head) if "sshd" not in line] == []
