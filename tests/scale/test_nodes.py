"""A study on a cluster whose nodes come and go: real raylets, all on this machine."""

from __future__ import annotations

import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import psutil
import pytest
import ray._private.utils
from ray.cluster_utils import Cluster

import famus_ray as fr
from famus_ray.records.ledger import read_events

pytestmark = [pytest.mark.ray, pytest.mark.faults]


@pytest.fixture
def cluster(monkeypatch) -> Iterator[Cluster]:
    """A head that takes no trials; nodes are added by the test."""
    monkeypatch.setenv("RAY_AUTH_MODE", "disabled")
    monkeypatch.setattr(ray._private.utils, "write_ray_address", lambda *a, **k: None)
    folder = tempfile.mkdtemp(prefix="fr", dir="/tmp")  # socket paths must stay short
    head = {"num_cpus": 0, "temp_dir": folder, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    yield cluster
    cluster.shutdown()
    shutil.rmtree(folder, ignore_errors=True)


def test_a_node_that_joins_takes_a_trial_and_one_that_dies_gives_its_trial_back(
    tmp_path: Path, cluster: Cluster
):
    first = cluster.add_node(num_cpus=1)
    command = [Path(sys.executable).with_name("famus-ray"), "tune", "quick", "--trials", "2"]
    command += ["--name", "study", f"run.root={tmp_path}", f"scale.address={cluster.address}"]
    command += ["run.threads=1", "model.widths=[4,4,8]", "study.scheduler=none"]
    study = subprocess.Popen(command, stdout=subprocess.PIPE, text=True)

    def reported(trial_id: str) -> Callable[[], bool]:
        events = tmp_path / "study" / "ledger.jsonl"
        return lambda: any(
            e["event"] == "reported" and e["trial_id"] == trial_id for e in read_events(events)
        )

    def wait_for(what: Callable[[], bool]) -> None:
        while study.poll() is None and not what():
            time.sleep(0.05)

    wait_for(reported("0000"))
    raylet = psutil.Process(first.all_processes["raylet"][0].process.pid)
    children = raylet.children(recursive=True)
    trial = next(p for p in children if "Trial" in p.cmdline()[0] or "Trainable" in p.cmdline()[0])
    trial.suspend()  # it must not end before the second node is there
    assert not reported("0001")()
    cluster.add_node(num_cpus=1)
    wait_for(reported("0001"))
    cluster.remove_node(first, allow_graceful=False)
    trial.kill()
    printed, _ = study.communicate(timeout=300)
    assert study.returncode == 0
    assert "aylet" not in printed
    trials = fr.load_trials(tmp_path / "study")
    assert trials["state"].tolist() == ["completed", "completed"]
    assert trials["attempts"].tolist() == [2, 1]
    assert trials["epochs"].tolist() == [6, 6]
    events = read_events(tmp_path / "study" / "ledger.jsonl")
    on = [event["node"] for event in events if event["event"] == "reported"]
    assert len(set(on)) == 2  # two nodes of one machine are told apart
    assert trials["node"].tolist() == [on[-1], on[-1]]
