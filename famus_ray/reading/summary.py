"""The results of a run in a few numbers."""

from __future__ import annotations

import math
from dataclasses import dataclass

import pandas as pd

__all__ = ["RunSummary", "summarise"]


@dataclass(frozen=True)
class RunSummary:
    """The results of a run; accuracies are shares in [0, 1].

    Attributes:
        epochs: completed.
        best_epoch: epoch of the highest accuracy on `selected_on`, the latest one of ties.
        best: test accuracy at that epoch.
        last10: mean test accuracy of the last ten epochs.
        seconds_per_step: mean over the epochs.
        selected_on: the split that picked the best epoch, validation or test.
    """

    epochs: int
    best_epoch: int
    best: float
    last10: float
    seconds_per_step: float
    selected_on: str


def summarise(curves: pd.DataFrame, select: str = "validation") -> RunSummary:
    """The results of one run, with accuracies as shares in [0, 1].

    Args:
        curves: `load_curves` of one run; of a study, the rows of one trial and seed.
        select: the split that picks the best epoch, the latest one of ties.
    """

    def of(metric: str) -> pd.Series[float]:
        rows = curves[curves["metric"] == metric]
        values = pd.Series(rows["value"].to_numpy(), index=rows["epoch"].to_numpy()).sort_index()
        return values.replace([math.inf, -math.inf], math.nan)

    latest_first, test = of(f"{select}/top1").fillna(-math.inf).iloc[::-1], of("test/top1")
    best_epoch = int(str(latest_first.idxmax()))
    return RunSummary(
        epochs=int(test.index.max()),
        best_epoch=best_epoch,
        best=float(test.loc[best_epoch]),
        last10=float(test.iloc[-10:].mean()),
        seconds_per_step=float(of("time/step").mean()),
        selected_on=select,
    )
