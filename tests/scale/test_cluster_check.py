"""The check of a cluster's nodes: real raylets on this machine, some with real faults."""

from __future__ import annotations

import contextlib
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import pytest
import ray._private.utils
from ray.cluster_utils import Cluster

import famus_ray
from famus_ray.cluster.free_ports import free_ports
from famus_ray.scale.cluster_check import Node, findings_of
from famus_ray.scale.node_probe import Facts

VERSIONS = {"Python": "3.12.11", "torch": "2.15.0"}
NODE = Node("a1", "gpu1 (10.0.0.5)", "gpu1", {"CPU": 8.0, "GPU": 1.0})
FACTS = Facts(VERSIONS, "10.0.0.5", "eth0", cpus=8, gpus=1)


def told(facts: Facts = FACTS, skew: float = 0.1) -> list[str]:
    """What is not all right with a node, each with its level."""
    found = findings_of(NODE, facts, VERSIONS, skew, hosts=2)
    return [f"{f.level}: {f.what}; {f.mend}" for f in found if f.level != "ok"]


def test_all_faults_of_a_node_are_told_at_once():
    assert told() == []
    stale = {"Python": "3.12.4", "torch": "2.15.0"}
    faulty = Facts(stale, "127.0.0.1", "lo", cpus=4, gpus=0)
    versions, address, gpus, cpus, clock = told(faulty, skew=-90.0)
    assert "Python: 3.12.4 here, 3.12.11 on the driver's machine; install the same" in versions
    assert address.startswith("unfit: address: 127.0.0.1 over lo, which no other machine reaches")
    assert gpus.startswith("unfit: GPUs: Ray gives out 1, PyTorch sees 0; install the driver")
    assert cpus.startswith("note: CPUs: Ray gives out 8, there are 4; start Ray there with")
    assert clock.startswith("note: clock: 90.00 s behind the driver's; run a time service")


def test_a_gpu_that_no_trial_gets_is_noted():
    assert "--num-gpus=2" in told(replace(FACTS, gpus=2))[0]


CHECK = """
import json, sys
from famus_ray.scale.cluster_check import check_cluster
found = check_cluster(*sys.argv[1:3], within=float(sys.argv[3]))
print(json.dumps({node: [vars(finding) for finding in of] for node, of in found.items()}))
"""


@pytest.fixture(scope="module")
def cluster() -> Iterator[Cluster]:
    """A head that takes no trials, and a second node."""
    with pytest.MonkeyPatch.context() as patch:
        patch.setenv("RAY_AUTH_MODE", "disabled")
        patch.setattr(ray._private.utils, "write_ray_address", lambda *a, **k: None)
        folder = tempfile.mkdtemp(prefix="fr", dir="/tmp")  # socket paths must stay short
        head = {"num_cpus": 0, "temp_dir": folder, "include_dashboard": False}
        cluster = Cluster(initialize_head=True, head_node_args=head)
        cluster.add_node(num_cpus=1, node_name="second")
        yield cluster
        cluster.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


def run(*command: str, code: int) -> Any:
    """What a command prints as JSON."""
    done = subprocess.run(
        [sys.executable, "-c", *command], cwd="/", capture_output=True, text=True, timeout=300
    )
    assert done.returncode == code, done.stdout + done.stderr
    return json.loads(done.stdout)


def unfit(findings: list[dict[str, Any]]) -> list[str]:
    return [finding["what"] for finding in findings if finding["level"] == "unfit"]


@pytest.mark.ray
@pytest.mark.faults
def test_a_fit_cluster_is_fit_and_nothing_is_left_in_the_folder(cluster: Cluster, tmp_path: Path):
    words = ["check", "--cluster", "--address", cluster.address, "--root", f"{tmp_path}/runs"]
    told = run("from famus_ray.cli import main; main()", *words, "--json", code=0)
    found: dict[str, list[dict[str, Any]]] = {}
    for finding in told["findings"]:
        found.setdefault(finding["node"].split(" (")[0], []).append(finding)
    assert found.keys() >= {"the cluster", "second"}
    assert (told["fit"], len(found)) == (True, 3)
    assert "2 nodes with 1 CPUs, 0 GPUs" in found["the cluster"][0]["what"]
    assert found["the cluster"][1]["what"].startswith("token: none is asked for")
    whats = "\n".join(finding["what"] for finding in found["second"])
    assert f"run.root = {tmp_path}/runs: what " in whats
    assert "wrote there is read, and written" in whats
    assert "by gloo over" in whats
    assert "clock: 0.0" in whats
    assert list(tmp_path.iterdir()) == []


@contextmanager
def node_that_does_not_see(folder: Path, address: str) -> Iterator[None]:
    """Inside, a node `blind` has another folder there, and an interface that is none."""
    hide = 'mount -t tmpfs tmpfs "$0" && mkdir -p /tmp/ray && mount -t tmpfs tmpfs /tmp/ray'
    start = [str(Path(sys.executable).with_name("ray")), "start", f"--address={address}"]
    start += ["--block", "--node-name=blind", "--num-cpus=1", "--min-worker-port=0"]
    start += ["--max-worker-port=0", f"--dashboard-agent-listen-port={free_ports(1)[0]}"]
    process = subprocess.Popen(
        ["unshare", "--mount", "sh", "-c", f'{hide} && exec "$@"', str(folder), *start],
        env={**os.environ, "GLOO_SOCKET_IFNAME": "nosuch0"},
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    try:
        yield
    finally:
        children = psutil.Process(process.pid).children(recursive=True)
        process.terminate()
        for child in children:
            with contextlib.suppress(psutil.NoSuchProcess):
                child.kill()
        process.wait()


@pytest.mark.ray
@pytest.mark.faults
def test_faulty_nodes_are_named_and_the_others_are_fit(cluster: Cluster, tmp_path: Path):
    if os.geteuid() != 0 or shutil.which("unshare") is None:
        pytest.skip("needs root and unshare: a node gets file systems of its own")
    stale = tmp_path / "stale"
    missing = shutil.ignore_patterns("node_probe.py")
    shutil.copytree(Path(famus_ray.__file__).parent, stale / "famus_ray", ignore=missing)
    old = cluster.add_node(num_cpus=1, node_name="old", env_vars={"PYTHONPATH": str(stale)})
    shared = tmp_path / "shared"
    shared.mkdir()
    with node_that_does_not_see(shared, cluster.address):
        while sum(node["Alive"] for node in cluster.global_state.node_table()) < 4:
            time.sleep(0.1)
        told = run(CHECK, cluster.address, f"{shared}/runs", "60", code=0)
    cluster.remove_node(old, allow_graceful=False)
    found = {label.split(" (")[0]: findings for label, findings in told.items()}
    root, network = unfit(found.pop("blind"))
    assert root.startswith(f"run.root = {shared}/runs: what ")
    assert root.endswith("wrote there is not seen here")
    assert network.startswith("no all-reduce with ")
    assert "nosuch0" in network
    (versions,) = unfit(found.pop("old"))
    assert versions.endswith("No module named 'famus_ray.scale.node_probe'")
    assert [what for findings in found.values() for what in unfit(findings)] == []


@pytest.mark.ray
@pytest.mark.faults
def test_a_node_that_does_not_answer_in_time_is_named(cluster: Cluster, tmp_path: Path):
    told = run(CHECK, cluster.address, str(tmp_path), "0.05", code=0)
    found = {label.split(" (")[0]: findings for label, findings in told.items()}
    assert unfit(found["second"]) == ["no answer within 0.05 s: was asked to look at itself"]
