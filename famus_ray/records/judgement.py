"""What the curves of a run come to in a study: its value, its costs, its constraints."""

from __future__ import annotations

import math
import statistics
from collections.abc import Mapping, Sequence

__all__ = ["History", "best_value", "judged", "measured"]

History = Mapping[int, Mapping[str, float]]  # metrics by name, by epoch


def best_value(history: History, metric: str) -> float:
    """The highest value of the metric that is finite; NaN where none is."""
    values = (metrics.get(metric, math.nan) for metrics in history.values())
    return max(filter(math.isfinite, values), default=math.nan)


def measured(history: History, curve: str, metric: str) -> float:
    """What a curve counts as: a time its mean over epochs, anything else its value at the best
    epoch, the latest of equals. NaN where the metric is never finite.

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
    """The last epoch that all of a trial's runs reached, and the mean of their best values there.

    Args:
        histories: one a seed.
    """
    epoch = min((max(history, default=0) for history in histories), default=0)
    if not epoch:
        return 0, math.nan
    upto = [{e: m for e, m in history.items() if e <= epoch} for history in histories]
    return epoch, statistics.fmean(best_value(history, metric) for history in upto)
