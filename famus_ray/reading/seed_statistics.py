"""Statistics over seeds: intervals, tables of means, paired tests and ranks."""

from __future__ import annotations

import math
from collections.abc import Iterator, Sequence
from itertools import combinations
from typing import Any

import numpy as np
import pandas as pd

from famus_ray.reading.text_tables import label

__all__ = ["interval", "means_of", "ranks_of", "tests_of"]


def interval(values: Sequence[float], level: float = 0.95) -> tuple[float, float]:
    """The interval of the mean by Student's t; NaN with fewer than two values."""
    from scipy.stats import t

    count = len(values)
    if count < 2:
        return math.nan, math.nan
    mean, std = float(np.mean(values)), float(np.std(values, ddof=1))
    half = float(t.ppf((1 + level) / 2, count - 1)) * std / math.sqrt(count)
    return mean - half, mean + half


def means_of(
    values: pd.DataFrame, over: tuple[str, ...], by: tuple[str, ...], level: float, higher: bool
) -> pd.DataFrame:
    """`Comparison.table` of the values (see there), the best of each condition first."""
    rows = []
    for key, own in values.groupby([*over, *by], sort=False, dropna=False)["value"]:
        low, high = interval(own.tolist(), level)
        about = dict(zip((*over, *by), key, strict=True))
        rows.append(
            {**about, "mean": own.mean(), "std": own.std(), "low": low, "high": high,
             "seeds": len(own)}
        )  # fmt: skip
    order = [True] * len(over) + [not higher]
    table = pd.DataFrame(rows)
    return table.sort_values([*over, "mean"], ascending=order, kind="stable", ignore_index=True)


def tests_of(
    values: pd.DataFrame, over: tuple[str, ...], by: tuple[str, ...], level: float
) -> pd.DataFrame:
    """`Comparison.tests` of the values (see there)."""
    rows = []
    for condition, own in _groups(values, over):
        by_seed = {label(key): one.set_index("seed")["value"] for key, one in _groups(own, by)}
        best_first = sorted(by_seed, key=lambda name: -float(by_seed[name].mean()))
        for first, second in combinations(best_first, 2):
            differences = (by_seed[first] - by_seed[second]).dropna()
            if len(differences) > 1:
                low, high = interval(differences.tolist(), level)
                rows.append(
                    {**dict(zip(over, condition, strict=True)), "first": first, "second": second,
                     "difference": differences.mean(), "low": low, "high": high,
                     "pairs": len(differences), "p": _p(differences.to_numpy())}
                )  # fmt: skip
    columns = [*over, "first", "second", "difference", "low", "high", "pairs", "p"]
    tests = pd.DataFrame(rows, columns=columns)
    return tests.assign(p_holm=_holm(tests["p"].to_numpy(dtype=float)))


def _p(differences: Any) -> float:
    """The p value of a paired t test; NaN where all differences are the same."""
    from scipy.stats import ttest_1samp

    if float(np.ptp(differences)) == 0:
        return math.nan
    return float(ttest_1samp(differences, 0.0).pvalue)


def _holm(p: Any) -> Any:
    """The p values corrected for all of them (Holm 1979); NaN stays."""
    found = np.full(len(p), math.nan)
    known = np.flatnonzero(~np.isnan(p))
    order = known[np.argsort(p[known], kind="stable")]
    factors = np.arange(len(order), 0, -1)
    found[order] = np.minimum(np.maximum.accumulate(p[order] * factors), 1.0)
    return found


def ranks_of(
    table: pd.DataFrame, over: tuple[str, ...], by: tuple[str, ...], higher: bool
) -> pd.DataFrame:
    """`Comparison.ranks` of a table of means (see there)."""
    found: dict[str, pd.Series[float]] = {}
    for condition, rows in _groups(table, over):
        names = [label(tuple(row)) for row in rows[[*by]].itertuples(index=False)]
        means = pd.Series(rows["mean"].to_numpy(), index=names)
        found[label(condition) or "all"] = means.rank(ascending=not higher)
    ranks = pd.DataFrame(found)
    ranks["mean rank"] = ranks.mean(axis=1)
    return ranks.sort_values("mean rank", kind="stable").rename_axis(", ".join(by))


def _groups(
    frame: pd.DataFrame, keys: tuple[str, ...]
) -> Iterator[tuple[tuple[Any, ...], pd.DataFrame]]:
    """The rows of each combination of values, all of them in one group without keys."""
    if not keys:
        yield (), frame
    else:
        for key, rows in frame.groupby([*keys], sort=False, dropna=False):
            yield key if isinstance(key, tuple) else (key,), rows
