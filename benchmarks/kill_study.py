"""SIGKILL the driver of a study at random moments, resume it each time, and look what was lost.

    python benchmarks/kill_study.py [kills] [trials]

Prints one line a kill, and at the end what the ledger says: trials that ended twice, trials
whose epochs ran again although they had ended, trials without an end, processes left behind.
"""

from __future__ import annotations

import random
import subprocess
import sys
import tempfile
import time
from collections import Counter
from pathlib import Path

import psutil

from famus_ray.ledger import FINAL, read_events, trials_table

FAMUS_RAY = Path(sys.executable).with_name("famus-ray")


def main(kills: int = 20, trials: int = 16, seed: int = 0) -> None:
    draw = random.Random(seed)
    with tempfile.TemporaryDirectory() as root:
        study = Path(root) / "study"
        begin = [
            "tune", "quick", "--name", "study", "--trials", str(trials), f"run.root={root}",
            "run.threads=1", "schedule.epochs=16", "study.scheduler=none",
        ]  # fmt: skip
        command = [FAMUS_RAY, *begin]
        families: list[psutil.Process] = []
        for kill in range(kills):
            # A quarter of the kills at any moment of the start, the others while trials run.
            awaited = "opened" if kill and draw.random() < 0.25 else "attempt"
            before = count(study, awaited)
            process = subprocess.Popen(
                [*command], stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL
            )
            while process.poll() is None and count(study, awaited) == before:
                time.sleep(0.02)
            time.sleep(draw.uniform(0, 6))
            if process.poll() is None:
                families += psutil.Process(process.pid).children(recursive=True)
            process.kill()
            process.wait()
            states = Counter(trials_table(study / "ledger.jsonl")["state"])
            print(f"kill {kill + 1}: {dict(states)}", flush=True)
            if (study / "space.yaml").is_file():
                command = [FAMUS_RAY, "resume", study]
        subprocess.run([FAMUS_RAY, "resume", study], check=True, stdout=subprocess.DEVNULL)
        # Ray's agents notice within half a minute that their node is gone.
        left_behind = len(psutil.wait_procs(families, timeout=60)[1])
        report(study, trials, left_behind)


def count(study: Path, event: str) -> int:
    return sum(e["event"] == event for e in read_events(study / "ledger.jsonl"))


def report(study: Path, trials: int, left_behind: int) -> None:
    ends: Counter[str] = Counter()
    after_the_end = 0
    for event in read_events(study / "ledger.jsonl"):
        if event["event"] in FINAL:
            ends[event["trial_id"]] += 1
        elif event.get("trial_id") in ends:
            after_the_end += 1
    table = trials_table(study / "ledger.jsonl")
    print(f"trials in the ledger: {len(table)} of {trials}; states {dict(Counter(table['state']))}")
    print(f"ended more than once: {sum(n > 1 for n in ends.values())}")
    print(f"events of a trial after its end: {after_the_end}")
    print(f"without an end: {trials - len(ends)}")
    print(f"attempts: {table['attempts'].tolist()}")
    print(f"processes left behind: {left_behind}")


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
