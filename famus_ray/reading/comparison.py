"""Runs compared: mean, deviation and interval over seeds, paired tests, and ranks."""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import pandas as pd

from famus_ray.errors import UserError, did_you_mean
from famus_ray.reading.loaded import Loaded
from famus_ray.reading.many import Names, loaded_runs
from famus_ray.reading.seed_statistics import interval, means_of, ranks_of, tests_of
from famus_ray.reading.summary import summarise
from famus_ray.reading.text_tables import comparison_latex, comparison_markdown
from famus_ray.reading.trials import is_replica
from famus_ray.records.folders import load_config

__all__ = ["MEASURES", "OVER", "Comparison", "compare", "interval"]

OVER = ("data.name", "noise.kind", "noise.rate")
MEASURES = {
    "last10": "test accuracy, mean of the last ten epochs",
    "best": "test accuracy, at the epoch that the run selected",
    "seconds_per_step": "seconds per training step",
}
# Settings in which the runs of one cell may differ: they change no result, or are its chance.
_FREE = ("run.name", "run.root", "run.threads", "run.device", "run.track", "run.checkpoint_every",
         "run.diagnose_every", "data.root")  # fmt: skip


@dataclass(frozen=True)
class Comparison:
    """What several runs came to.

    Attributes:
        table: a row for each condition and method: `mean`, `std` (of one run), `low` and `high`
            (the interval of the mean), `seeds`. The best of each condition comes first.
        tests: a row for each condition and pair of methods that share two seeds: `first`,
            `second`, `difference` (of the means over the shared seeds), its interval `low` and
            `high`, `pairs`, `p` of a paired t test, and `p_holm`, corrected by Holm's method for
            all rows.
        ranks: a row for each method and a column for each condition, 1 for the best; equal means
            share a rank. `mean rank` is over the conditions that the method has.
        values: a row for each run: condition, method, `seed` and `value`.
        by: the settings that make a method.
        over: the settings that make a condition.
        measure: what is compared, of `MEASURES`.
        level: of the intervals.
    """

    table: pd.DataFrame
    tests: pd.DataFrame
    ranks: pd.DataFrame
    values: pd.DataFrame
    by: tuple[str, ...]
    over: tuple[str, ...]
    measure: str
    level: float

    @property
    def method(self) -> str:
        """How intervals and tests were computed, for the caption of a table."""
        return (
            f"{MEASURES[self.measure]}; mean ± standard deviation over seeds; intervals of "
            f"{self.level:.0%} by Student's t; paired t tests over the shared seeds, corrected by "
            f"Holm's method"
        )

    def to_markdown(self) -> str:
        """The comparison as Markdown: methods by conditions, ranks of several, and tests."""
        return comparison_markdown(self)

    def to_latex(self) -> str:
        """The table of methods by conditions as LaTeX, for booktabs."""
        return comparison_latex(self)


def compare(
    runs: Names,
    by: Sequence[str] = ("method.name",),
    *,
    over: Sequence[str] = OVER,
    measure: str = "last10",
    level: float = 0.95,
) -> Comparison:
    """Compares methods over seeds, under each condition.

    A run counts once. A study counts with its best trial: with its further seeds where leaders
    were trained again, since the value that it was chosen by is too good by chance, else with its
    own. Runs that have not finished are left out, with a warning; so is said where the runs of a
    method differ in other settings than the seed.

    Args:
        runs: names, paths or URLs of runs and studies, or a pattern such as `runs/ce-*`.
        by: settings by dotted key that make a method.
        over: settings that make a condition.
        measure: `last10`, `best` or `seconds_per_step`.
        level: of the intervals, in (0, 1).

    Raises:
        UserError: no such run, setting or measure, or no finished run.
    """
    if measure not in MEASURES:
        raise UserError(
            f"measure = {measure}: must be {', '.join(MEASURES)}{did_you_mean(measure, MEASURES)}"
        )
    if not 0 < level < 1:
        raise UserError(f"level = {level}: must lie between 0 and 1")
    by = tuple(by)
    over = tuple(key for key in over if key not in by)
    rows, settings = [], []
    for name, found in loaded_runs(runs):
        for config, run in _units(found):
            if (value := _value(name, config, run, measure)) is not None:
                flat = _flat(config)
                keys = {key: _setting(flat, key, name) for key in (*over, *by)}
                rows.append({**keys, "seed": flat["run.seed"], "value": value})
                settings.append(flat)
    if not rows:
        raise UserError("compare: no finished run among them")
    values = pd.DataFrame(rows)
    _warn_of_differences(values, settings, [*over, *by])
    # A seed that was run twice is one observation.
    by_seed = values.groupby([*over, *by, "seed"], sort=False, dropna=False)["value"]
    values = by_seed.mean().reset_index()
    higher = measure != "seconds_per_step"
    table = means_of(values, over, by, level, higher)
    tests, ranks = tests_of(values, over, by, level), ranks_of(table, over, by, higher)
    return Comparison(table, tests, ranks, values, by, over, measure, level)


def _units(found: Loaded) -> Iterator[tuple[dict[str, Any], pd.DataFrame]]:
    """Config and curves of each run that counts."""
    if not found.is_study:
        yield found.config, found.curves
        return
    best, trials, curves = found.best, found.trials, found.curves
    if best is None:
        return
    again = trials[is_replica(trials) & trials["state"].eq("completed")]
    chosen = {best.number}
    if best.seeds:
        chosen = {int(n) for n in again.loc[again["replicates"] == best.number, "trial"]}
    for number, seed, folder in found.folders():
        if number in chosen and (folder / "curves.parquet").is_file():
            of_seed = curves["seed"].isna() if seed is None else curves["seed"].eq(seed)
            yield load_config(folder), curves[curves["trial"].eq(number) & of_seed.fillna(False)]


def _value(
    name: str, config: Mapping[str, Any], curves: pd.DataFrame, measure: str
) -> float | None:
    """The run's value; None, with a warning, if it has not finished."""
    planned = int(config["schedule"]["epochs"])
    summary = summarise(curves, config["run"]["select"])
    if summary.epochs < planned:
        warnings.warn(
            f"{name}: left out, it has finished {summary.epochs} of {planned} epochs", stacklevel=2
        )
        return None
    return float(getattr(summary, measure))


def _flat(config: Mapping[str, Any]) -> dict[str, Any]:
    return {f"{section}.{key}": v for section, own in config.items() for key, v in own.items()}


def _setting(flat: Mapping[str, Any], key: str, name: str) -> Any:
    if key not in flat:
        raise UserError(f"{name}: has no setting {key}{did_you_mean(key, flat)}")
    value = flat[key]
    return str(value) if isinstance(value, list | dict) else value


def _warn_of_differences(
    values: pd.DataFrame, settings: Sequence[Mapping[str, Any]], cell: list[str]
) -> None:
    for _, rows in values.groupby(cell, dropna=False):
        of_cell = [settings[i] for i in rows.index]
        differing = [
            key
            for key in of_cell[0]
            if key not in _FREE
            and not key.startswith(("study.", "scale."))
            and not key.endswith(".seed")
            and any(other.get(key) != of_cell[0][key] for other in of_cell)
        ]
        if differing:
            what = " ".join(str(rows[key].iloc[0]) for key in cell)
            warnings.warn(
                f"{what}: its runs differ in {', '.join(differing)}; name that in `by`, or compare "
                "fewer",
                stacklevel=2,
            )
