"""What it costs to load a study: a made-up one of 1,000 trials of 300 epochs, time and memory.

python benchmarks/load_study.py [TRIALS] [EPOCHS]
"""

from __future__ import annotations

import json
import multiprocessing
import resource
import sys
import tempfile
import time
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd

from famus_ray.reading.loaded import Loaded, load
from famus_ray.records.tables import CURVES, write_table

METRICS = [
    *(f"{split}/{what}" for split in ("train", "validation", "test") for what in ("top1", "loss")),
    "validation/top5", "test/top5", "time/step", "time/epoch", "gates/open", "meta/loss",
]  # fmt: skip


def make(study: Path, trials: int, epochs: int) -> None:
    """A study of completed trials with a ledger and curves, and no training."""
    rng = np.random.default_rng(0)
    (study / "config.yaml").write_text("study: {metric: validation/top1}\n")
    with (study / "ledger.jsonl").open("w") as ledger:
        for number in range(trials):
            time_, name = "2026-11-28T10:00:00.000000+00:00", f"{number:04d}"
            common = {"time": time_, "trial_id": name}
            params = {"meta.lr": rng.uniform(), "meta.k": int(rng.integers(1, 9))}
            events = [
                {"event": "started", "params": params},
                {"event": "attempt"},
                *(
                    {"event": "reported", "epoch": e, "value": 0.5 + e / 1000, "seconds": 1.0 * e,
                     "node": "head/12ab34cd", "latest": 0.5 + e / 1000}
                    for e in range(1, epochs + 1)
                ),
                {"event": "completed"},
            ]  # fmt: skip
            ledger.writelines(json.dumps({**common, **event}) + "\n" for event in events)
            frame = pd.DataFrame(
                {
                    "epoch": np.repeat(np.arange(1, epochs + 1), len(METRICS)),
                    "metric": METRICS * epochs,
                    "value": rng.uniform(size=epochs * len(METRICS)),
                }
            )
            write_table(study / "trials" / name / "curves.parquet", CURVES, frame)


def both(found: Loaded) -> str:
    return f"{len(found.trials):,} and {len(found.curves):,} rows"


def measured(what: str, work: Callable[[], str]) -> None:
    """Runs `work` in a process of its own, and prints its time and the memory that it adds."""

    def run() -> None:
        import famus_ray.reading.folders  # noqa: F401 - not part of the measurement

        before = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss
        began, used = time.perf_counter(), time.process_time()
        found = work()
        seconds, used = time.perf_counter() - began, time.process_time() - used
        memory = (resource.getrusage(resource.RUSAGE_SELF).ru_maxrss - before) / 1024
        cpu = f"{used:5.2f} s of CPU time"
        print(f"{what:<12} {seconds:5.2f} s  {cpu}  {memory:4.0f} MB  {found}", flush=True)

    process = multiprocessing.get_context("fork").Process(target=run)
    process.start()
    process.join()


def main() -> None:
    trials, epochs = (int(word) for word in (*sys.argv[1:], "1000", "300")[:2])
    with tempfile.TemporaryDirectory() as folder:
        study = Path(folder)
        make(study, trials, epochs)
        size = sum(p.stat().st_size for p in study.rglob("*") if p.is_file()) / 1e6
        print(f"{trials} trials of {epochs} epochs, {len(METRICS)} curves each, {size:.0f} MB")
        measured("trials", lambda: f"{len(load(study).trials):,} rows")
        measured("and curves", lambda: both(load(study)))


if __name__ == "__main__":
    main()
