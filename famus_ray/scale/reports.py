"""Messages from a trial to the search, and from the search to its observers."""

from __future__ import annotations

import math
from collections.abc import Callable, Mapping
from dataclasses import dataclass, field, replace
from typing import Any

from famus_ray.records.ledger import finite

__all__ = ["OnTrial", "Report", "TrialNews", "read_report", "trial_id"]


@dataclass(frozen=True)
class Report:
    """The results of a trial after one more epoch.

    Attributes:
        epoch: completed epochs, from 1.
        value: the metric at the best epoch so far, the mean over seeds.
        value_std: its standard deviation over seeds; None with one seed.
        costs: the minimised objectives, by curve.
        excess: each constraint's excess, by its text; 0 or less where it is kept.
        seconds: training time of this attempt.
        node: name of the node that trained it.
        latest: the metric after this epoch, the mean over seeds.
    """

    epoch: int
    value: float
    value_std: float | None = None
    costs: Mapping[str, float] = field(default_factory=dict)
    excess: Mapping[str, float] = field(default_factory=dict)
    seconds: float = 0.0
    node: str | None = None
    latest: float | None = None

    def details(self) -> dict[str, Any]:
        """The fields of its event in the ledger."""
        return {
            "epoch": self.epoch, "value": finite(self.value), "seconds": round(self.seconds, 3),
            "node": self.node,
            **({} if self.latest is None else {"latest": finite(self.latest)}),
            **({} if self.value_std is None else {"value_std": self.value_std}),
            **({"costs": {k: finite(v) for k, v in self.costs.items()}} if self.costs else {}),
            **({"excess": dict(self.excess)} if self.excess else {}),
        }  # fmt: skip

    def without_infinities(self) -> Report:
        """The report with NaN for every value, cost or latest metric that is not finite.

        No comparison takes NaN for the best.
        """
        costs = {name: _finite(cost) for name, cost in self.costs.items()}
        latest = None if self.latest is None else _finite(self.latest)
        return replace(self, value=_finite(self.value), costs=costs, latest=latest)


def read_report(event: Mapping[str, Any]) -> Report:
    """The report of an event; null, written for a value that was not finite, becomes NaN."""
    costs = {k: math.nan if v is None else v for k, v in event.get("costs", {}).items()}
    latest = event.get("latest")
    report = Report(
        event["epoch"],
        math.nan if event["value"] is None else event["value"],
        costs=costs,
        excess=event.get("excess", {}),
        latest=math.nan if latest is None and "latest" in event else latest,
    )
    return report.without_infinities()


def _finite(value: float) -> float:
    return value if math.isfinite(value) else math.nan


@dataclass(frozen=True)
class TrialNews:
    """An event of a trial for observers.

    Attributes:
        event: started, reported, completed, pruned or failed.
        number: of the trial, from 0.
        trial_id: name of its folder.
        report: its latest report; None before the first epoch.
        can_lead: whether it may be the best trial: it keeps every constraint, and is not a
            leader's further seed.
        error: of a failed trial.
        again: whether it trains a leader with a further seed.
    """

    event: str
    number: int
    trial_id: str
    report: Report | None = None
    can_lead: bool = True
    error: str | None = None
    again: bool = False

    @property
    def epoch(self) -> int:
        """Completed epochs."""
        return self.report.epoch if self.report else 0

    @property
    def value(self) -> float | None:
        """The metric at the best epoch so far; None if it is not finite."""
        value = self.report.value if self.report else math.nan
        return value if math.isfinite(value) else None


OnTrial = Callable[[TrialNews], None]


def trial_id(number: int) -> str:
    """The name of a trial's folder."""
    return f"{number:04d}"
