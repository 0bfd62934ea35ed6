"""Optuna's part of a search: it draws the settings of trials, prunes, and learns their results."""

from __future__ import annotations

import math
import statistics
import warnings
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from typing import Any

import optuna
from optuna.trial import FrozenTrial, Trial, TrialState

from famus_ray.config.schema import Config, StudyConfig
from famus_ray.records.ledger import finite
from famus_ray.scale.reports import Report
from famus_ray.scale.sampling import new_pruner, new_sampler
from famus_ray.spaces.space import Space

__all__ = ["Pruned", "Suggester", "why_pruned"]

_UP, _DOWN = optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE
_STATES = {
    "completed": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}
# Searchers whose state depends on their own draws: a replay has to repeat the draws.
_DRAW_IN_TURN = ("qmc", "nsga2", "nsga3", "cmaes")


class Suggester:
    """An Optuna study whose draws depend on the study's seed and the trial's number.

    Args:
        space: the search space.
        kind: the searcher: `study.searcher`, or `random` for population based training.
    """

    def __init__(self, space: Space, kind: str) -> None:
        self._space, self._kind = space, kind
        self._config: Config = space.base.config
        self._minimised = self._config.study.minimise
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")
            optuna.logging.set_verbosity(optuna.logging.ERROR)
            self._study = optuna.create_study(
                study_name="study",
                directions=[_UP, *[_DOWN for _ in self._minimised]],
                pruner=new_pruner(self._config),
            )

    @property
    def trials(self) -> list[FrozenTrial]:
        """Optuna's record of all drawn trials, in order."""
        return self._study.get_trials(deepcopy=False)

    def draw(
        self, number: int, given: Mapping[str, Any] | None, *, again: bool = False
    ) -> tuple[Trial, dict[str, Any]]:
        """A trial and its settings, drawn or given.

        Args:
            number: number of trials drawn before it.
            given: its settings; None to draw them.
            again: whether it was drawn before, so that its settings are in the ledger.
        """
        if given is not None:
            self._study.enqueue_trial(dict(given))
        draws_in_turn = self._kind in _DRAW_IN_TURN
        kind = self._kind if draws_in_turn or not again else "random"
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "experimental"
            self._study.sampler = new_sampler(kind, self._config.study, number)
            trial = self._study.ask()
            if draws_in_turn:
                _ = trial.relative_params  # draws, although settings are given
            return trial, self._space(trial)

    def prunes(self, trial: Trial, report: Report) -> bool:
        """Whether a trial should end after this report."""
        if self._minimised:
            return False
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # a repeated epoch has been reported before
            trial.report(report.value, report.epoch)
        return trial.should_prune()

    def tell(self, trial: Trial, state: str, last: Report | None) -> None:
        """Gives Optuna the result of a trial that ended.

        Without a report, or with a result that is not finite, it counts as failed.
        """
        told = TrialState.FAIL if last is None else _STATES[state]
        for constraint, excess in (last.excess if last else {}).items():
            trial.set_constraint(constraint, excess)
        objectives = self._objectives(last)
        if objectives and told is TrialState.COMPLETE:
            self._study.tell(trial, objectives)
        elif told is TrialState.PRUNED and not self._minimised:
            self._study.tell(trial, state=TrialState.PRUNED)
        else:
            self._study.tell(trial, state=TrialState.FAIL)

    def skip(self) -> None:
        """Adds a failed trial in place of one that was drawn and is unknown to Optuna."""
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # "experimental"
            number = len(self._study.get_trials(deepcopy=False))
            draws_in_turn = self._kind in _DRAW_IN_TURN
            kind = self._kind if draws_in_turn else "random"
            self._study.sampler = new_sampler(kind, self._config.study, number)
            trial = self._study.ask()
            if draws_in_turn:
                _ = trial.relative_params
        self._study.tell(trial, state=TrialState.FAIL)

    def _objectives(self, last: Report | None) -> list[float]:
        """The metric, then the minimised costs; empty if one of them is not finite."""
        if last is None:
            return []
        found = [last.value, *(last.costs.get(name, math.nan) for name in self._minimised)]
        return found if all(map(math.isfinite, found)) else []


@dataclass(frozen=True)
class Pruned:
    """Why a trial was ended early.

    Attributes:
        epoch: the epoch, which is that of its rung.
        value: its value there.
        needed: the least value that went on there at that time; None where it is not known.
        more: what is to be said besides value and epoch.
    """

    epoch: int
    value: float
    needed: float | None = None
    more: str = ""

    def details(self) -> dict[str, Any]:
        """The fields of its event in the ledger."""
        return {
            "reason": f"{self.value:.4g} at epoch {self.epoch}{self.more}",
            "pruned_at": self.epoch,
            "pruned_value": finite(self.value),
            "needed": finite(self.needed),
        }


def why_pruned(
    trials: Sequence[FrozenTrial], number: int, report: Report, study: StudyConfig
) -> Pruned:
    """Why the pruner ended a trial, after it has decided."""
    epoch, value = report.epoch, report.value
    if study.scheduler == "median":
        values = [
            trial.intermediate_values[epoch]
            for trial in trials
            if trial.state is TrialState.COMPLETE
            and math.isfinite(trial.intermediate_values.get(epoch, math.nan))
        ]
        if not values:
            return Pruned(epoch, value)
        median = statistics.median(values)
        more = f", the median of {len(values)} trials is {median:.4g}"
        return Pruned(epoch, value, median, more)
    rungs = [key for key in trials[number].system_attrs if key.startswith("completed_rung_")]
    if study.scheduler != "asha" or not rungs:
        return Pruned(epoch, value, more=", not among the best of its bracket" if rungs else "")
    rung = f"completed_rung_{len(rungs) - 1}"  # Optuna's key of a trial's value at the rung
    values = sorted((t.system_attrs[rung] for t in trials if rung in t.system_attrs), reverse=True)
    go_on = max(1, len(values) // study.reduction_factor)
    needed = values[go_on - 1]
    more = f", rung {len(rungs)}: {needed:.4g} was needed ({go_on} of {len(values)} go on)"
    return Pruned(epoch, value, needed, more)
