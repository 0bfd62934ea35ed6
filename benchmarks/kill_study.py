"""A study of 16 trials is killed again and again, and what was lost is counted.

    python benchmarks/kill_study.py [driver] [cluster] [--kills 20]

driver: SIGKILL of the driver, with a Ray of its own, at moments spread over the study, each
    followed by a resume.
cluster: on a cluster of two nodes that outlives the study: a trial's process, the driver
    (SIGKILL), Ctrl-C and at last a node.

Prints a line a kill and, at the end, what the ledger, the searcher and the machine say.
"""

from __future__ import annotations

import argparse
import os
import random
import signal
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path
from typing import Any

import psutil
from optuna.trial import TrialState

from famus_ray.records.ledger import FINAL, read_events, trials_table
from famus_ray.records.saved_space import saved_space
from famus_ray.scale.search import Search

FAMUS_RAY = Path(sys.executable).with_name("famus-ray")
TRIALS, EPOCHS = 16, 8


class Study:
    """A study on disk that is begun, cut and resumed by its command."""

    def __init__(self, root: str, *more: str) -> None:
        self.path = Path(root) / "study"
        self.ledger = self.path / "ledger.jsonl"
        self._settings = (
            "tune", "quick", "--name", "study", "--trials", str(TRIALS), f"run.root={root}",
            "run.threads=1", f"schedule.epochs={EPOCHS}", "model.widths=[4,4,8]", *more,
        )  # fmt: skip

    def run(self) -> subprocess.Popen[bytes]:
        begun = (self.path / "space.yaml").is_file()
        command = ("resume", str(self.path)) if begun else self._settings
        quiet = {"stdout": subprocess.DEVNULL, "stderr": subprocess.DEVNULL}
        return subprocess.Popen([FAMUS_RAY, *command], **quiet)

    def finish(self) -> None:
        """Resume until nothing is left to do."""
        if self.run().wait():
            raise SystemExit(f"resume of {self.path} failed; see {self.path}/ray.log")

    def epochs(self) -> int:
        """How far all trials together have come."""
        events = read_events(self.ledger)
        latest = {e["trial_id"]: e["epoch"] for e in events if e["event"] == "reported"}
        return sum(latest.values())

    def wait_for(self, process: subprocess.Popen[bytes], epochs: int) -> None:
        while process.poll() is None and self.epochs() < epochs:
            time.sleep(0.02)

    def report(self) -> None:
        ends: Counter[str] = Counter()
        epochs: Counter[tuple[str, int]] = Counter()
        after_the_end = 0
        for event in read_events(self.ledger):
            if event["event"] in FINAL:
                ends[event["trial_id"]] += 1
            elif event.get("trial_id") in ends:
                after_the_end += 1
            if event["event"] == "reported":
                epochs[event["trial_id"], event["epoch"]] += 1
        table = trials_table(self.ledger)
        told = Search(saved_space(self.path), self.ledger).searcher.trials
        open_there = sum(trial.state in (TrialState.RUNNING, TrialState.WAITING) for trial in told)
        print(f"trials: {len(table)} of {TRIALS}, {dict(Counter(table['state']))}")
        print(f"finished trials lost: {sum(not table['trial_id'].eq(t).any() for t in ends)}")
        print(f"finished trials run again: {after_the_end} events after an end, ", end="")
        print(f"{sum(n > 1 for n in ends.values())} second ends")
        print(f"epochs reported twice: {sum(n > 1 for n in epochs.values())}")
        print(f"orphans in the searcher: {open_there} of {len(told)}")
        print(f"attempts: {table['attempts'].tolist()}", flush=True)


def kill_the_driver(kills: int, seed: int = 0) -> None:
    draw = random.Random(seed)
    most = TRIALS * EPOCHS
    with tempfile.TemporaryDirectory() as root:
        study, families = Study(root, "study.scheduler=none"), list[psutil.Process]()
        for kill, moment in enumerate(sorted(draw.randrange(most) for _ in range(kills)), 1):
            process, began = study.run(), time.monotonic()
            if study.epochs() >= moment:  # it was passed: a moment of the start-up
                time.sleep(draw.uniform(0, 10))
            else:
                study.wait_for(process, moment)
                time.sleep(draw.uniform(0, 0.5))
            families += family(process)
            process.kill()
            process.wait()
            states = dict(Counter(trials_table(study.ledger)["state"]))
            seconds = time.monotonic() - began
            print(
                f"kill {kill}, {seconds:.1f} s after its start: "
                f"{study.epochs()} of {most} epochs, {states}", flush=True
            )  # fmt: skip
        study.finish()
        # Ray's processes notice within half a minute that their head is gone.
        left = len(psutil.wait_procs(families, timeout=60)[1])
        study.report()
        print(f"processes left: {left} of {len(families)}")


def kill_on_a_cluster() -> None:
    os.environ["RAY_AUTH_MODE"] = "disabled"
    import ray._private.utils
    from ray.cluster_utils import Cluster

    ray._private.utils.write_ray_address = lambda *a, **k: None  # other clusters here stay alone
    folder = tempfile.mkdtemp(prefix="fr", dir="/tmp")
    head = {"num_cpus": 0, "temp_dir": folder, "include_dashboard": False}
    cluster = Cluster(initialize_head=True, head_node_args=head)
    nodes = [cluster.add_node(num_cpus=1) for _ in range(2)]
    with tempfile.TemporaryDirectory() as root:
        study = Study(root, "study.scheduler=none", f"scale.address={cluster.address}")
        process = study.run()
        study.wait_for(process, 8)
        victim = trial_processes(nodes[0])[0]
        victim.kill()
        print("killed a trial's process", flush=True)
        # A shell lets what it starts in the background ignore Ctrl-C, its children too.
        signal.signal(signal.SIGINT, signal.default_int_handler)
        for number, name in ((signal.SIGKILL, "SIGKILL of the driver"), (signal.SIGINT, "Ctrl-C")):
            study.wait_for(process, study.epochs() + 12)
            process.send_signal(number)
            print(f"{name}: exit code {process.wait()}", flush=True)
            process = study.run()
        study.wait_for(process, study.epochs() + 12)
        cluster.remove_node(nodes[0], allow_graceful=False)
        print("killed a node of two", flush=True)
        if process.wait():
            raise SystemExit(f"the study failed; see {study.path}/ray.log")
        study.report()
    ray.init(address=cluster.address, log_to_driver=False)
    deadline = time.monotonic() + 30
    while trial_processes(nodes[1]) and time.monotonic() < deadline:
        time.sleep(0.2)
    groups = ray.util.placement_group_table().values()
    print(f"trial processes left: {len(trial_processes(nodes[1])) + victim.is_running()}")
    print(f"placement groups left: {sum(g['state'] != 'REMOVED' for g in groups)}")
    free, total = (r.get("CPU", 0) for r in (ray.available_resources(), ray.cluster_resources()))
    print(f"CPUs free: {free:g} of {total:g}", flush=True)
    ray.shutdown()
    cluster.shutdown()


def trial_processes(node: Any) -> list[psutil.Process]:
    raylet = psutil.Process(node.all_processes["raylet"][0].process.pid)
    # ray::RunTrial between two epochs, ray::ResourceTrainable.train in one.
    names = ("Trial", "Trainable")
    children = raylet.children(recursive=True)
    return [p for p in children if any(name in "".join(p.cmdline()[:1]) for name in names)]


def family(process: subprocess.Popen[bytes]) -> list[psutil.Process]:
    try:
        return psutil.Process(process.pid).children(recursive=True)
    except psutil.NoSuchProcess:
        return []


if __name__ == "__main__":
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("parts", nargs="*", default=["driver", "cluster"])
    arguments.add_argument("--kills", type=int, default=20)
    given = arguments.parse_args()
    if "driver" in given.parts:
        kill_the_driver(given.kills)
    if "cluster" in given.parts:
        kill_on_a_cluster()
