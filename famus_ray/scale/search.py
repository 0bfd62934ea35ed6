"""Optuna as Ray Tune's searcher, with the states of trials told as they are."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping
from typing import Any

import optuna
from optuna.trial import TrialState
from ray.tune.search.optuna import OptunaSearch

from famus_ray.config.schema import StudyConfig
from famus_ray.config.space import Space

__all__ = ["Searcher"]


class Searcher(OptunaSearch):  # type: ignore[misc]
    """TPE over a search space; NaN is told as FAIL, an early stop as PRUNED.

    Ray's own tells Optuna that pruned trials are complete, and leaves those that end in NaN
    running for ever.
    """

    def __init__(self, space: Space, study: StudyConfig, epochs: int) -> None:
        warnings.filterwarnings("ignore", category=optuna.exceptions.ExperimentalWarning)
        optuna.logging.set_verbosity(optuna.logging.ERROR)
        sampler = optuna.samplers.TPESampler(
            seed=study.seed,
            n_startup_trials=study.startup_trials,
            multivariate=True,
            group=True,  # conditional settings are modelled apart
            constant_liar=True,  # trials under way count, so that parallel ones spread out
        )
        super().__init__(
            space=space,
            metric="value",
            mode="max",
            sampler=sampler,
            points_to_evaluate=space.points or None,
        )
        self._budget = epochs

    def on_trial_result(self, trial_id: str, result: dict[str, Any]) -> None:
        if math.isfinite(result["value"]) and trial_id not in self._completed_trials:
            self._ot_trials[trial_id].report(result["value"], result["epoch"])

    def on_trial_complete(
        self, trial_id: str, result: Mapping[str, Any] | None = None, error: bool = False
    ) -> None:
        if trial_id in self._completed_trials:
            return
        self._completed_trials.add(trial_id)
        value = result.get("value", math.nan) if result else math.nan
        trial = self._ot_trials[trial_id]
        if error or not math.isfinite(value):
            self._ot_study.tell(trial, state=TrialState.FAIL)
        elif result and result["epoch"] < self._budget:
            self._ot_study.tell(trial, state=TrialState.PRUNED)
        else:
            self._ot_study.tell(trial, value)
