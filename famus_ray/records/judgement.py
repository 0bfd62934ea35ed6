"""A trial's value, costs and constraints, computed from the curves of its runs."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

__all__ = ["History", "best_value", "judged", "measured"]

History = Mapping[int, Mapping[str, float]]  # metrics by name, by epoch


def best_value(history: History, metric: str) -> float:
    """The highest finite value of the metric; NaN if there is none."""
    values = (metrics.get(metric, math.nan) for metrics in history.values())
    return max(filter(math.isfinite, values), default=math.nan)


def measured(history: History, curve: str, metric: str) -> float:
    """A run's cost: a curve at its best epoch, or the mean over epochs of a time.

    NaN where the metric is never finite.

    Args:
        history: metrics by name, by epoch.
        curve: name of the cost; a time begins with `time/`.
        metric: its highest value is the best epoch, the latest one of ties.

    Raises:
        KeyError: an epoch has no such curve.
    """
    if curve.startswith("time/"):
        return statistics.fmean(metrics[curve] for metrics in history.values())
    finite = [e for e, metrics in history.items() if math.isfinite(metrics.get(metric, math.nan))]
    if not finite:
        return math.nan
    best = max(finite, key=lambda epoch: (history[epoch][metric], epoch))
    return history[best][curve]


def judged(histories: Sequence[History], metric: str) -> tuple[int, float]:
    """The last epoch that all runs of a trial reached, and the mean of their best values up to it.

    (0, NaN) where a run has no epoch.

    Args:
        histories: one per seed.
        metric: the study's metric.
    """
    epoch = min((max(history, default=0) for history in histories), default=0)
    if not epoch:
        return 0, math.nan
    upto = [{e: m for e, m in history.items() if e <= epoch} for history in histories]
    return epoch, statistics.fmean(best_value(history, metric) for history in upto)
