"""Which layer grouping matters, and how surely: `search_spaces/layer_grouping.yaml`, run for real.

    python benchmarks/which_grouping.py
    python benchmarks/which_grouping.py --trials 12 --page -

Every combination of sampler, grouping and gates equally often, what is left drawn at random, and
nothing pruned: so the mean of a choice is over all kinds of the other settings. What has been run
is not run again; what was interrupted goes on.
"""

from __future__ import annotations

import argparse
import sys
from itertools import combinations, product
from pathlib import Path

import numpy as np
import pandas as pd
import yaml
from drawing import fill

import famus_ray as fr
from famus_ray.errors import UserError
from famus_ray.files import write_text
from famus_ray.progress.study_view import StudyProgress
from famus_ray.reading.importance import parameter_importance
from famus_ray.reading.trials import with_test_accuracy
from famus_ray.records.ledger import PARAMETER
from famus_ray.records.saved_space import saved_space
from famus_ray.scale.study import extend_study, resume_study, run_study
from famus_ray.spaces.space import load_space
from famus_ray.spaces.space_file import read_ranges, space_path

SETTINGS = (
    "noise.rate=0.6", "data.augment=none", "data.validation_fraction=0.2", "optimiser.lr=0.02",
    "schedule.epochs=20", "run.threads=1", "run.diagnose_every=0", "run.checkpoint_every=20",
    "study.searcher=random", "study.scheduler=none", "study.seeds=2",
)  # fmt: skip
CHOICES = ("meta.sampler", "meta.grouping", "meta.gated_from")
RESAMPLES = 2000  # bootstrap, of whole trials
LEVEL = 0.9


def run(path: Path, trials: int) -> pd.DataFrame:
    """The completed trials, with their test accuracy."""
    if not (path / "ledger.jsonl").is_file():
        more = (f"run.root={path.parent}", f"study.trials={trials}")
        space = load_space(str(balanced(path, trials)), (*SETTINGS, *more))
        with (progress := StudyProgress(space.base.config, trials)):
            run_study(space, path, progress.on_trial)
    space, earlier = saved_space(path), fr.load_trials(path)
    with (progress := StudyProgress(space.base.config, trials, earlier)):
        resume_study(path, on_trial=progress.on_trial)
        if len(earlier) < trials:
            extend_study(path, trials - len(earlier), progress.on_trial)
    table = fr.load_trials(path)
    return with_test_accuracy(table[table["state"] == "completed"], fr.load_curves(path))


def balanced(path: Path, trials: int) -> Path:
    """The space with points: the choices in all combinations, in turn."""
    space = yaml.safe_load(space_path("layer_grouping").read_text(encoding="utf-8"))
    values = [space["space"][setting]["values"] for setting in CHOICES]
    points = [dict(zip(CHOICES, choices, strict=True)) for choices in product(*values)]
    space["points"] = (points * (trials // len(points) + 1))[:trials]
    to = path.parent / "layer_grouping_balanced.yaml"
    write_text(to, yaml.safe_dump(space, sort_keys=False))
    return to


def section(trials: pd.DataFrame, space_file: Path) -> str:
    rng = np.random.default_rng(0)
    lines = [
        "| | trials | validation, best epoch | test, best epoch | test, last 10 |",
        "|---" * 5 + "|",
    ]
    for setting in CHOICES:
        for choice, rows in trials.groupby(PARAMETER + setting, observed=True):
            cells = [_mean(rows[c]) for c in ("value", "test_best", "test_last10")]
            lines.append(f"| `{setting}={choice}` | {len(rows)} | {' | '.join(cells)} |")
    shares, newline = parameter_importance(trials, read_ranges(space_file)), "\n"
    return (
        "\n".join(lines)
        + f"""

Mean ± standard deviation over trials, in percent, each trial the mean of its seeds.
{matter(shares)}

{newline.join(widest(trials, setting, rng) for setting in CHOICES)}
"""
    )


def matter(shares: pd.DataFrame) -> str:
    each = (
        f"`{name}` {row.share:.0%} ({row.low:.0%} … {row.high:.0%})"
        for name, row in shares.reindex(list(CHOICES)).dropna().iterrows()
    )
    return (
        "Shares of the variance of the validation accuracy that the three explain (mean and 90%\n"
        f"interval of resamples of the trials):\n{', '.join(each)}."
    )


def widest(trials: pd.DataFrame, setting: str, rng: np.random.Generator) -> str:
    """In words: the pair of choices whose test accuracy over the last ten epochs differs most
    surely. The level is of all pairs together (Bonferroni)."""
    groups = {
        c: rows["test_last10"].to_numpy()
        for c, rows in trials.groupby(PARAMETER + setting, observed=True)
    }
    found = []
    pairs = list(combinations(groups, 2))
    tail = (1 - LEVEL) / 2 / len(pairs)
    for a, b in pairs:
        means = [
            rng.choice(groups[c], (RESAMPLES, len(groups[c]))).mean(axis=1) * 100 for c in (a, b)
        ]
        difference = (groups[a].mean() - groups[b].mean()) * 100
        low, high = np.quantile(means[0] - means[1], [tail, 1 - tail])
        if difference < 0:
            a, b, difference, low, high = b, a, -difference, -high, -low
        found.append((low, difference, high, a, b))
    low, difference, high, a, b = max(found)
    sure = "surely better than" if low > 0 else "not surely better than"
    of_all = f" (the surest of {len(found)} pairs)" if len(found) > 1 else ""
    return (
        f"Over the last ten epochs `{setting}={a}` is {sure} `{b}`{of_all}:\n"
        f"by {difference:.1f} points, {LEVEL:.0%} interval {low:.1f} … {high:.1f}."
    )


def _mean(values: pd.Series) -> str:
    return f"{100 * values.mean():.2f} ± {100 * values.std():.2f}"


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--trials", type=int, default=24)
    parser.add_argument("--path", type=Path, default=Path("runs/which-grouping"))
    parser.add_argument("--page", default="docs/search.md", help="file, or - for the screen")
    given = parser.parse_args()
    text = section(run(given.path, given.trials), given.path / "space.yaml")
    if given.page == "-":
        print(text)
    else:
        fill(Path(given.page), "which_grouping", text)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"{error}")
