"""Accuracy against seconds a step: `search_spaces/speed_accuracy.yaml`, run for real.

    python benchmarks/speed_accuracy.py        # on a machine that does nothing else

Two objectives, NSGA-II, one trial at a time. What has been run is not run again; what was
interrupted goes on. Writes the Pareto front into docs/search.md, and the study's report.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import pandas as pd
from drawing import Plot, fill

import famus_ray as fr
from famus_ray.errors import UserError
from famus_ray.progress.study_view import StudyProgress
from famus_ray.reading.pareto import pareto_front
from famus_ray.reading.report import write_report
from famus_ray.reading.trials import with_test_accuracy
from famus_ray.records.ledger import COST, PARAMETER
from famus_ray.records.saved_space import saved_space
from famus_ray.scale.study import resume_study, run_study
from famus_ray.spaces.space import load_space

SETTINGS = (
    "noise.rate=0.6", "data.augment=none", "data.validation_fraction=0.2", "optimiser.lr=0.02",
    "schedule.epochs=20", "run.threads=1", "run.diagnose_every=0", "run.checkpoint_every=20",
)  # fmt: skip
TIME = COST + "time/step"


def run(path: Path, trials: int) -> pd.DataFrame:
    """The completed trials, with their test accuracy."""
    if (path / "ledger.jsonl").is_file():
        space, earlier = saved_space(path), fr.load_trials(path)
        with (progress := StudyProgress(space.base.config, space.planned_runs(), earlier)):
            resume_study(path, on_trial=progress.on_trial)
    else:
        more = (f"run.root={path.parent}", f"study.trials={trials}")
        space = load_space("speed_accuracy", (*SETTINGS, *more))
        with (progress := StudyProgress(space.base.config, trials)):
            run_study(space, path, progress.on_trial)
    table = fr.load_trials(path)
    return with_test_accuracy(table[table["state"] == "completed"], fr.load_curves(path))


def section(trials: pd.DataFrame) -> str:
    front = pareto_front(trials).sort_values(TIME)
    settings = [c for c in front if str(c).startswith(PARAMETER)]
    names = [f"`{c.removeprefix(PARAMETER)}`" for c in settings]
    lines = [
        f"| ms a step | validation | test | {' | '.join(names)} |",
        "|---" * (len(names) + 3) + "|",
    ]
    for _, row in front.iterrows():
        found = [f"{1000 * row[TIME]:.1f}", f"{row['value']:.2%}", f"{row['test_best']:.2%}"]
        lines.append(f"| {' | '.join([*found, *(str(row[c]) for c in settings)])} |")
    slowest, fastest = front.iloc[-1], front.iloc[0]
    return (
        "\n".join(lines)
        + f"""

The Pareto front of {len(trials)} trials, which took {1000 * trials[TIME].min():.1f} to
{1000 * trials[TIME].max():.1f} ms a step and came to {trials["value"].min():.2%} to
{trials["value"].max():.2%}; test accuracy is at the best epoch. The fastest on the front takes
{fastest[TIME] / slowest[TIME]:.0%} of the time of the most accurate and is
{100 * (slowest["value"] - fastest["value"]):.1f} points below it. One seed: accuracies that differ
by less than two points say nothing.

![Validation accuracy against milliseconds a step](speed_accuracy.svg)
"""
    )


def draw(trials: pd.DataFrame, to: Path) -> None:
    front = pareto_front(trials).sort_values(TIME)
    times, values = 1000 * trials[TIME], trials["value"]
    spread = (times.max() - times.min()) * 0.05
    plot = Plot(
        (times.min() - spread, times.max() + spread), (values.min() - 0.01, values.max() + 0.01),
        "milliseconds a step",
    )  # fmt: skip
    plot.ticks(
        range(round(times.min()), round(times.max()) + 1, max(1, round(spread * 4))),
        [n / 100 for n in range(round(100 * values.min()), round(100 * values.max()) + 1, 2)],
        lambda tick: f"{tick:.0f}", lambda tick: f"{tick:.0%}",
    )  # fmt: skip
    plot.dots(times.tolist(), values.tolist(), "#b9c2c9")
    plot.line((1000 * front[TIME]).tolist(), front["value"].tolist(), "#d97b29")
    plot.dots((1000 * front[TIME]).tolist(), front["value"].tolist(), "#d97b29")
    plot.label("Pareto front", "#d97b29")
    plot.label("other trials", "#7a7f87")
    plot.save(to)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=40)
    parser.add_argument("--path", type=Path, default=Path("runs/speed-accuracy"))
    parser.add_argument("--page", default="docs/search.md", help="file, or - for the screen")
    given = parser.parse_args()
    trials = run(given.path, given.trials)
    print(write_report(given.path))
    if given.page == "-":
        print(section(trials))
    else:
        fill(Path(given.page), "speed_accuracy", section(trials))
        draw(trials, Path(given.page).with_name("speed_accuracy.svg"))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"{error}")
