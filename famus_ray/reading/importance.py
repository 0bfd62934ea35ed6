"""How much each searched setting matters: to a study's value, and to how its trials end."""

# Shapes: N trials, S settings, R resamples of the trials.
from __future__ import annotations

from collections.abc import Mapping

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from famus_ray.reading.trials import is_replica
from famus_ray.records.ledger import PARAMETER
from famus_ray.spaces.ranges import Range, Searched

__all__ = ["FEWEST_TRIALS", "comparable_values", "outcomes", "parameter_importance"]

FEWEST_TRIALS = 4  # with fewer a share of the variance means nothing

_TREES, _PERMUTATIONS, _RESAMPLES = 150, 4, 1000
_LEVEL = 0.9  # of the intervals
_MOST_VALUES = 5  # of a number, before its values are put into bins
_BINS = 4

Floats = NDArray[np.float64]


def comparable_values(
    trials: pd.DataFrame, curves: pd.DataFrame, metric: str
) -> tuple[pd.DataFrame, int]:
    """The trials with values that may be compared, and the epoch at which they were reached.

    These are the completed trials, without those that train a leader again. With fewer than
    `FEWEST_TRIALS` of them, all trials that reported, each with its best value up to the last
    epoch that all of them reached: a pruned trial's final value is from another epoch than the
    others'.
    """
    trials = trials[~is_replica(trials)]
    completed = trials[trials["state"] == "completed"]
    if len(completed) >= FEWEST_TRIALS:
        return completed, int(completed["epochs"].max())
    reported = trials[(trials["epochs"] > 0) & (trials["state"] != "failed")]
    if reported.empty:
        return reported, 0
    epoch = int(reported["epochs"].min())
    early = curves[(curves["metric"] == metric) & (curves["epoch"] <= epoch)]
    best = early.groupby(["trial", "seed"], dropna=False)["value"].max().groupby("trial").mean()
    return reported.assign(value=reported["trial"].map(best), state="completed"), epoch


def parameter_importance(
    trials: pd.DataFrame, ranges: Mapping[str, Range], seed: int = 0
) -> pd.DataFrame:
    """One row a setting, the most important first: `share`, `low`, `high`.

    `share` is the part of the variance of the value that the setting explains, alone and together
    with others, as a forest of regression trees sees it, each tree in the trials that it was not
    made from: half of what their squared error grows by when the setting is exchanged among them.
    It is near 0 where the setting does not matter, below too by chance; what no setting explains
    belongs to none, so that shares need not add up to 1. `low` to `high` is the range of nine
    tenths of the resamples of the trials.

    Over the settings that all of the trials have; empty with fewer than `FEWEST_TRIALS`
    of them, or where all came to the same value.

    Args:
        trials: `comparable_values`.
        ranges: of the study's space.
    """
    columns = ["share", "low", "high"]
    trials = trials[np.isfinite(trials["value"].astype(float))]
    varied = [
        name
        for name, entry in ranges.items()
        if isinstance(entry, Searched)
        and PARAMETER + name in trials
        and trials[PARAMETER + name].notna().all()
        and trials[PARAMETER + name].nunique() > 1
    ]
    if len(trials) < FEWEST_TRIALS or trials["value"].nunique() < 2 or not varied:
        return pd.DataFrame(columns=columns, dtype=float)
    inputs_NS = np.column_stack([_as_numbers(trials[PARAMETER + name]) for name in varied])
    values_N = trials["value"].to_numpy(dtype=float)
    growth_NS = _growth_of_error(inputs_NS, values_N, seed) / (2 * values_N.var())
    drawn_RN = np.random.default_rng(seed).multinomial(
        len(trials), np.full(len(trials), 1 / len(trials)), size=_RESAMPLES
    )
    means_RS = drawn_RN @ growth_NS / len(trials)
    tails = np.quantile(means_RS, [(1 - _LEVEL) / 2, (1 + _LEVEL) / 2], axis=0)
    rows = np.column_stack([growth_NS.mean(axis=0), *tails])
    table = pd.DataFrame(rows, index=pd.Index(varied), columns=columns)
    return table.sort_values("share", ascending=False, kind="stable")


def _growth_of_error(inputs_NS: Floats, values_N: Floats, seed: int) -> Floats:
    """What each trial's squared error (N, S) grows by when a setting is exchanged among the trials,
    by the mean prediction of the trees that were made without the trial."""
    from sklearn.ensemble import RandomForestRegressor

    count, settings = inputs_NS.shape
    rng = np.random.default_rng([seed, 0x66616E76])
    copies = np.tile(inputs_NS, (1 + settings * _PERMUTATIONS, 1, 1))
    for i in range(settings * _PERMUTATIONS):
        copies[1 + i, :, i % settings] = rng.permutation(inputs_NS[:, i % settings])
    forest = RandomForestRegressor(_TREES, random_state=seed).fit(inputs_NS, values_N)
    sums, trees_N = np.zeros(copies.shape[:2]), np.zeros(count)
    for tree, seen in zip(forest.estimators_, forest.estimators_samples_, strict=True):
        unseen_N = ~np.isin(np.arange(count), seen)
        sums += unseen_N * tree.predict(copies.reshape(-1, settings)).reshape(-1, count)
        trees_N += unseen_N
    errors = (sums / trees_N.clip(min=1) - values_N) ** 2
    growth = (errors[1:] - errors[0]).reshape(_PERMUTATIONS, settings, count).mean(axis=0)
    # A permutation leaves one place in N as it was, on average.
    is_counted_N1 = (trees_N > 0)[:, None]
    return np.asarray(growth.T * is_counted_N1 * (count / (count - 1)), dtype=np.float64)


def _as_numbers(values: pd.Series) -> Floats:
    """Numbers as they are, other values by their places in a sorted list of them."""
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().all():
        return np.asarray(numbers, dtype=np.float64)
    codes, _ = pd.factorize(values.astype(str), sort=True)
    return codes.astype(np.float64)


def outcomes(trials: pd.DataFrame) -> pd.DataFrame:
    """How the trials ended by the values of their settings: one row a setting and value, or bin of
    values: `setting`, `value`, `trials`, and the shares `pruned`, `diverged` and `failed`.

    The setting whose values differ most in what ended early comes first. Empty where every trial
    was completed. Trials that train a leader again, and those without an end, are left out.

    Args:
        trials: `load_trials`.
    """
    ended = trials[~is_replica(trials) & trials["state"].isin(["completed", "pruned", "failed"])]
    diverged = ended["state"].eq("pruned") & ended["error"].notna()
    kinds = pd.DataFrame(
        {
            "pruned": ended["state"].eq("pruned") & ~diverged,
            "diverged": diverged,
            "failed": ended["state"].eq("failed"),
        }
    )
    columns = ["setting", "value", "trials", *kinds]
    tables = []
    for column in (c for c in ended if str(c).startswith(PARAMETER)):
        of_setting = ended[column].dropna()
        if not kinds.any(axis=None) or of_setting.nunique() < 2:
            continue
        rows = kinds.loc[of_setting.index].groupby(_binned(of_setting), observed=True, sort=True)
        table = rows.mean().assign(trials=rows.size()).rename_axis("value").reset_index()
        tables.append(table.assign(setting=str(column).removeprefix(PARAMETER))[columns])
    tables.sort(key=lambda t: -float(np.ptp(t[[*kinds]].sum(axis=1))))
    return pd.concat(tables, ignore_index=True) if tables else pd.DataFrame(columns=columns)


def _binned(values: pd.Series) -> pd.Series:
    """Values for people; numbers of which there are many in bins that hold equally many."""
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.isna().any() or values.map(lambda v: isinstance(v, bool)).any():
        return values.astype(str)
    if numbers.nunique() <= _MOST_VALUES:
        names = [f"{v:g}" for v in sorted(numbers.unique())]
        shown = numbers.map("{:g}".format)
    else:
        bins = pd.qcut(numbers, _BINS, duplicates="drop", labels=False)
        ends = numbers.groupby(bins).agg(["min", "max"])
        named = {i: f"{low:.3g} … {high:.3g}" for i, low, high in ends.itertuples()}
        names, shown = [*named.values()], bins.map(named)
    ordered: pd.Series = shown.astype(pd.CategoricalDtype([*dict.fromkeys(names)], ordered=True))
    return ordered
