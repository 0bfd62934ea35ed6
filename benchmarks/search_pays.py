"""Does the search pay? TPE with ASHA against random search without pruning, at equal epochs.

    python benchmarks/search_pays.py
    python benchmarks/search_pays.py --repeats 2 --trials 10 --page -

Both search the space `famus` on digits with 60 % noise, once for each seed of the search. What
has been run is not run again; what was interrupted goes on. The section of the page is written
anew after each repeat, from all that are there.
"""

from __future__ import annotations

import argparse
import sys
from pathlib import Path

import numpy as np
import pandas as pd
from drawing import Plot, fill

import famus_ray as fr
from famus_ray.errors import UserError
from famus_ray.progress.study_view import StudyProgress
from famus_ray.records.ledger import read_events
from famus_ray.records.saved_space import saved_space
from famus_ray.scale.study import extend_study, resume_study, run_study
from famus_ray.spaces.space import load_space

STRATEGIES = {
    "random": ("random, no pruning", "#7a7f87", ("study.searcher=random", "study.scheduler=none")),
    "tpe-asha": ("TPE and ASHA", "#0b7a75", ()),
}
EPOCHS = 20
PICTURE = "search_pays.svg"
# Hard enough that the settings matter: without augmentation training learns wrong labels by
# heart. A fifth for validation, so that the best of many is less of an accident.
SETTINGS = (
    "noise.rate=0.6", "data.augment=none", "data.validation_fraction=0.2",
    f"schedule.epochs={EPOCHS}", "run.threads=1", "run.diagnose_every=0",
    f"run.checkpoint_every={EPOCHS}",
)  # fmt: skip


def spend(root: Path, strategy: str, seed: int, budget: int) -> Path:
    """The folder of a study that has spent at least `budget` epochs."""
    name = f"{strategy}-seed{seed}"
    path = root / name
    if not (path / "ledger.jsonl").is_file():
        more = (f"study.seed={seed}", f"study.trials={budget // EPOCHS}", f"run.root={root}")
        space = load_space("famus", (*SETTINGS, *STRATEGIES[strategy][2], *more))
        with (progress := StudyProgress(space.base.config, space.planned_runs())):
            run_study(space, path, progress.on_trial)
    while True:
        space = saved_space(path)
        with (progress := StudyProgress(space.base.config, space.planned_runs(), of(path))):
            resume_study(path, on_trial=progress.on_trial)
        if len(spent(path)) >= budget:
            return path
        with (progress := StudyProgress(space.base.config, space.planned_runs() + 5, of(path))):
            extend_study(path, 5, progress.on_trial)


def of(path: Path) -> pd.DataFrame:
    return fr.load_trials(path)


def spent(path: Path) -> pd.DataFrame:
    """One row an epoch that the study spent, of whichever trial, in order: `best`, the best
    validation accuracy so far, and `test`, the test accuracy of the network that reached it."""
    curves = fr.load_curves(path)
    wide = curves[curves["metric"].isin(["validation/top1", "test/top1"])].pivot_table(
        index=["trial", "epoch"], columns="metric", values="value"
    )
    rows: list[tuple[float, float]] = []
    seen: set[tuple[int, int]] = set()
    for event in read_events(path / "ledger.jsonl"):
        if event["event"] != "reported":
            continue
        at = (int(event["trial_id"]), int(event["epoch"]))
        if at in seen:  # run again after a crash
            continue
        seen.add(at)
        here = (float(wide["validation/top1"][at]), float(wide["test/top1"][at]))
        rows.append(here if not rows or here[0] > rows[-1][0] else rows[-1])
    return pd.DataFrame(rows, columns=["best", "test"])


def epochs_to(found: pd.DataFrame, target: float) -> float:
    """Epochs until the best so far was at least `target`; infinite where it never was."""
    reached = np.flatnonzero(found["best"].to_numpy() >= target - 1e-9)
    return float(reached[0] + 1) if len(reached) else float("inf")


def section(studies: dict[str, list[pd.DataFrame]], budget: int, picture: str) -> str:
    at = [budget // 8, budget // 4, budget // 2, budget * 3 // 4, budget]
    target = float(np.median([s["best"].iloc[budget - 1] for s in studies["random"]]))
    lines = [
        f"| best so far after | {' | '.join(f'{n} epochs' for n in at)} | its test accuracy |",
        "|---" * (len(at) + 2) + "|",
    ]
    needed = {}
    for strategy, (label, _, _) in STRATEGIES.items():
        found = studies[strategy]
        cells = [_cell([s["best"].iloc[n - 1] for s in found]) for n in at]
        cells.append(_cell([s["test"].iloc[budget - 1] for s in found]))
        lines.append(f"| {label} | {' | '.join(cells)} |")
        needed[strategy] = sorted(epochs_to(s.iloc[:budget], target) for s in found)
    median = pd.DataFrame(
        {"best": np.median([s["best"].to_numpy()[:budget] for s in studies["tpe-asha"]], axis=0)}
    )
    reached = epochs_to(median, target)
    verdict = (
        f"The median of TPE with ASHA is there after {reached:.0f} epochs, "
        f"{reached / budget:.0%} of what random search spent"
        if reached < float("inf")
        else "The median of TPE with ASHA does not come to it"
    )
    return (
        "\n".join(lines)
        + f"""

Validation accuracy in percent, median (lowest … highest) of {len(studies["random"])} searches that
differ in `study.seed`; the test accuracy is that of the best network after {budget} epochs.

Random search without pruning comes to {target:.2%}, the median. {verdict}. Single searches needed
{_counts(needed["tpe-asha"])} epochs with TPE and ASHA, {_counts(needed["random"])} at random.

![Best validation accuracy against epochs spent]({picture})
"""
    )


def _cell(values: list[float]) -> str:
    low, middle, high = (100 * f(values) for f in (np.min, np.median, np.max))
    return f"{middle:.2f} ({low:.2f} … {high:.2f})"


def _counts(needed: list[float]) -> str:
    return ", ".join("more" if n == float("inf") else f"{n:.0f}" for n in needed)


def draw(studies: dict[str, list[pd.DataFrame]], budget: int, to: Path) -> None:
    runs = {k: np.stack([s["best"].to_numpy()[:budget] for s in v]) for k, v in studies.items()}
    values = np.concatenate(list(runs.values()))
    low, high = np.floor(values[:, budget // 20].min() * 20) / 20, values.max() + 0.01
    plot = Plot((0, budget), (low, high), "epochs spent")
    plot.ticks(
        range(0, budget + 1, budget // 4), np.arange(low, high, 0.05),
        lambda tick: f"{tick:.0f}", lambda tick: f"{tick:.0%}",
    )  # fmt: skip
    epochs = np.arange(1, budget + 1)
    for strategy, (label, colour, _) in STRATEGIES.items():
        found = runs[strategy]
        plot.band(epochs, found.min(0), found.max(0), colour)
        plot.line(epochs, np.median(found, 0), colour)
        plot.label(f"{label}: median and range of {len(found)}", colour)
    plot.save(to)


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--repeats", type=int, default=5)
    parser.add_argument("--trials", type=int, default=20, help="as many epochs a search spends")
    parser.add_argument("--root", type=Path, default=Path("runs/search-pays"))
    parser.add_argument("--page", default="docs/search.md", help="file, or - for the screen")
    given = parser.parse_args()
    studies: dict[str, list[pd.DataFrame]] = {name: [] for name in STRATEGIES}
    budget = given.trials * EPOCHS
    for seed in range(given.repeats):
        for strategy in STRATEGIES:
            print(f"{strategy}, seed {seed} of {given.repeats}", file=sys.stderr)
            path = spend(given.root, strategy, seed, budget)
            studies[strategy].append(spent(path).iloc[:budget])
        text = section(studies, budget, PICTURE)
        if given.page == "-":
            print(text, flush=True)
        else:
            fill(Path(given.page), "search_pays", text)
            draw(studies, budget, Path(given.page).with_name(PICTURE))


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"{error}")
