"""The paper's ablations, and what cheaper meta steps cost, on digits: docs/ablations.md.

    python benchmarks/ablations.py [--root runs/ablations] [--only paper_table3 ...]

Each table is one search space, every combination with five seeds. What has been run is not
run again; what was interrupted goes on.
"""

from __future__ import annotations

import argparse
from pathlib import Path

import pandas as pd

import famus_ray as fr
from famus_ray.reading.trials import with_test_accuracy
from famus_ray.records.ledger import PARAMETER

# Hard enough that methods differ: without augmentation plain training learns the 60 % of wrong
# labels by heart within these epochs (docs/results.md has the same setting).
SETTINGS = (
    "noise.rate=0.6", "data.augment=none", "optimiser.lr=0.02", "schedule.epochs=20",
    "run.threads=1", "run.diagnose_every=0",
)  # fmt: skip
SPACES = ("paper_table3", "paper_table4", "step_variants", "step_variants_scaled", "gated_tails")


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__)
    parser.add_argument("--root", default="runs/ablations")
    parser.add_argument("--only", nargs="*", choices=SPACES, default=SPACES)
    chosen = parser.parse_args()
    for space in chosen.only:
        path = Path(chosen.root) / space
        if path.exists():
            fr.resume(path)
        else:
            names = (f"run.root={chosen.root}", f"run.name={space}")
            fr.tune(f"search_spaces/{space}.yaml", *SETTINGS, *names)
        print(f"## {space}\n")
        print(table(path))


def table(study: Path) -> str:
    """Markdown, a row a configuration, in the order of the grid."""
    trials = with_test_accuracy(fr.load_trials(study), fr.load_curves(study))
    settings = [c for c in trials if c.startswith(PARAMETER)]
    rows = pd.DataFrame(
        {
            **{c.removeprefix(PARAMETER): trials[c].map(_shown) for c in settings},
            "test, last 10": _percent(trials, "test_last10"),
            "test, best epoch": _percent(trials, "test_best"),
        }
    )
    lines = [list(rows.columns), ["---"] * rows.shape[1], *rows.astype(str).to_numpy().tolist()]
    return "\n".join(f"| {' | '.join(line)} |" for line in lines) + "\n"


def _percent(trials: pd.DataFrame, column: str) -> pd.Series:
    pairs = zip(trials[column], trials[f"{column}_std"], strict=True)
    return pd.Series([f"{100 * m:.2f} ± {100 * s:.2f}" for m, s in pairs], index=trials.index)


def _shown(value: object) -> str:
    return "" if value is None or value != value else str(value)


if __name__ == "__main__":
    main()
