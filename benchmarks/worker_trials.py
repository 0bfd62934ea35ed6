"""Trials of two workers each on four logical CPUs, many of them pruned: does all come back?

    python benchmarks/worker_trials.py [trials]

Prints how the trials ended, and what the cluster has free before and after them.
"""

from __future__ import annotations

import os
import sys
import tempfile
import time
from pathlib import Path

import ray

from famus_ray.records.ledger import trials_table
from famus_ray.scale.cluster import QUIET
from famus_ray.scale.local_ray import LOOPBACK, on_loopback
from famus_ray.scale.study import run_study
from famus_ray.spaces.space import load_space


def main(trials: int = 20) -> None:
    os.environ.update(QUIET)
    with on_loopback():
        ray.init(address="local", num_cpus=4, log_to_driver=False, _node_ip_address=LOOPBACK)
    before = state()
    with tempfile.TemporaryDirectory() as root:
        settings = (
            f"run.root={root}", f"study.trials={trials}", "study.grace_epochs=1", "run.threads=1",
            "scale.workers=2", "schedule.epochs=4", "model.widths=[4,4,8]",
        )  # fmt: skip
        path = Path(root) / "study"
        began = time.perf_counter()
        run_study(load_space("quick", settings), path)
        seconds = time.perf_counter() - began
        table = trials_table(path / "ledger.jsonl")
    deadline = time.monotonic() + 10  # Ray tells of what is free within seconds
    while state() != before and time.monotonic() < deadline:
        time.sleep(0.2)
    print(f"{len(table)} trials of 2 workers in {seconds:.0f} s (load {os.getloadavg()[0]:.1f})")
    print(f"ended: {table['state'].value_counts().to_dict()}, most attempts {max(table.attempts)}")
    print(f"before: {before}\nafter:  {state()}")
    ray.shutdown()


def state() -> str:
    groups = ray.util.placement_group_table().values()
    left = sum(group["state"] != "REMOVED" for group in groups)
    free, total = (r.get("CPU", 0) for r in (ray.available_resources(), ray.cluster_resources()))
    return f"{free:g} of {total:g} CPUs free, {left} placement groups"


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
