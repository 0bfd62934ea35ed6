"""The importance of each searched setting for a study's value, and for how its trials end."""

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

FEWEST_TRIALS = 4  # with fewer a share of the variance is meaningless

_TREES, _PERMUTATIONS, _RESAMPLES = 150, 4, 1000
_LEVEL = 0.9  # of the intervals
_MOST_VALUES = 5  # of a number, before its values are put into bins
_BINS = 4

Floats = NDArray[np.float64]


def comparable_values(
    trials: pd.DataFrame, curves: pd.DataFrame, metric: str
) -> tuple[pd.DataFrame, int]:
    """The trials with comparable values, and the epoch of these values.

    They are the completed trials, without replicas of leaders. If these are fewer than
    `FEWEST_TRIALS`, they are all trials that reported, with their best values up to the last
    epoch that all of them reached: the final values of pruned trials are from different epochs.

    Args:
        trials: `load_trials`.
        curves: `load_curves`.
        metric: the study's metric.
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
    """The importance of each setting, one row per setting, the most important first.

    Columns: `share`, `low`, `high`. `share` is the permutation importance of the setting in a
    random forest, in units of the variance of the value: half of the growth of the squared error
    when the setting's values are permuted among the trials. Each tree predicts only the trials
    that it was not fitted to (out of bag). A share includes interactions with other settings. It
    is near 0, by chance also below, for a setting that does not matter. Shares need not add up to
    1, as some variance may be explained by no setting. `low` and `high` are the ends of the 90 %
    interval over resamples of the trials.

    It covers the settings that all of the trials have. It is empty with fewer than
    `FEWEST_TRIALS` trials, or if all have the same value.

    Args:
        trials: `comparable_values`.
        ranges: of the study's space, by setting.
        seed: of the forest, the permutations and the resamples.
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
    """The growth (N, S) of each trial's squared error when a setting is permuted among the trials.

    The prediction is the mean over the trees that were fitted without the trial.
    """
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
    # A permutation leaves one of N values in its place, on average.
    is_counted_N1 = (trees_N > 0)[:, None]
    return np.asarray(growth.T * is_counted_N1 * (count / (count - 1)), dtype=np.float64)


def _as_numbers(values: pd.Series) -> Floats:
    """Numbers (N,): numeric values unchanged, others by their index in sorted order."""
    numbers = pd.to_numeric(values, errors="coerce")
    if numbers.notna().all():
        return np.asarray(numbers, dtype=np.float64)
    codes, _ = pd.factorize(values.astype(str), sort=True)
    return codes.astype(np.float64)


def outcomes(trials: pd.DataFrame) -> pd.DataFrame:
    """How the trials ended, one row per setting and value, or bin of values.

    Columns: `setting`, `value`, `trials`, and the shares `pruned`, `diverged` and `failed`, in
    [0, 1]. The first setting is the one whose values differ most in their share of trials that
    ended early. Empty if every trial was completed. Replicas of leaders, and trials that have not
    ended, are left out.

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
    """The values as text for the user; more than a few numbers are put into bins of equal size."""
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
