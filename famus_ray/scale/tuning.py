"""Ray Tune's searcher, scheduler and callback, which delegate to the study's search."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path
from typing import Any, Protocol

from ray import tune
from ray.tune.schedulers import FIFOScheduler
from ray.tune.search import Searcher

from famus_ray.scale.search import Search

__all__ = ["StudyCallback", "StudyScheduler", "StudySearcher"]


class TuneTrial(Protocol):
    """What is read of Ray Tune's record of a trial.

    Attributes:
        config: number and settings, as `StudySearcher.suggest` gave them.
        last_result: what the trial reported last.
        error_file: the file of its traceback; None without one.
    """

    config: dict[str, Any]
    last_result: dict[str, Any]
    error_file: str | None


class StudySearcher(Searcher):  # type: ignore[misc]
    """Tune's searcher: suggests the next trial, or none while the most trials at once run."""

    def __init__(self, search: Search, at_once: Callable[[], int]) -> None:
        super().__init__()
        self._search = search
        self._at_once = at_once
        self._running: set[str] = set()

    def suggest(self, trial_id: str) -> dict[str, Any] | str | None:
        if len(self._running) >= self._at_once():
            return None
        found = self._search.suggest()
        if found is None:
            return None if self._search.may_go_on else str(Searcher.FINISHED)
        self._running.add(trial_id)
        return {"trial": found[0], "settings": found[1]}

    def on_trial_complete(
        self, trial_id: str, result: dict[str, Any] | None = None, error: bool = False
    ) -> None:
        self._running.discard(trial_id)

    def save(self, checkpoint_path: str) -> None:
        """Does nothing: the ledger holds the state of the search."""

    def restore(self, checkpoint_path: str) -> None:
        """Does nothing: the ledger holds the state of the search."""


class StudyScheduler(FIFOScheduler):  # type: ignore[misc]
    """Tune's scheduler: runs trials in order and ends a trial when the search prunes it."""

    def __init__(self, search: Search) -> None:
        super().__init__()
        self._search = search

    def on_trial_result(
        self, tune_controller: object, trial: TuneTrial, result: dict[str, Any]
    ) -> str:
        prune = self._search.reported(trial.config["trial"], result["report"])
        return str(self.STOP if prune else self.CONTINUE)


class StudyCallback(tune.Callback):  # type: ignore[misc]
    """Tune's callback: tells the search of the start and end of trials."""

    def __init__(self, search: Search) -> None:
        self._search = search

    def on_trial_start(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: object
    ) -> None:
        self._search.begun(trial.config["trial"])

    def on_trial_complete(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: object
    ) -> None:
        number, last = trial.config["trial"], trial.last_result
        if last.get("end") == "completed":  # Tune does not give a trial's last result to schedulers
            self._search.reported(number, last["report"])
        fault = bool(last.get("fault"))
        self._search.ended(number, last.get("end", "pruned"), last.get("error"), fault=fault)

    def on_trial_error(
        self, iteration: int, trials: list[TuneTrial], trial: TuneTrial, **info: object
    ) -> None:
        error_file = Path(trial.error_file or "")
        error = error_file.read_text() if error_file.is_file() else "its process died"
        self._search.ended(trial.config["trial"], "failed", error, lost=True)
