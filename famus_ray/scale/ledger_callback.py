"""Ray Tune's events, written into the ledger as they come."""

from __future__ import annotations

from pathlib import Path
from typing import Any

from ray import tune

from famus_ray.ledger import append_event
from famus_ray.scale.study import OnTrial, TrialNews

__all__ = ["LedgerCallback"]


class LedgerCallback(tune.Callback):  # type: ignore[misc]
    """Appends each event to the ledger, then tells `on_trial`."""

    def __init__(self, ledger: Path, epochs: int, on_trial: OnTrial) -> None:
        self._ledger = ledger
        self._epochs = epochs
        self._on_trial = on_trial
        self._numbers: dict[str, int] = {}

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles its callbacks into its snapshots; what watches from outside stays out."""
        return {**self.__dict__, "_on_trial": _nobody}

    def on_trial_start(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._begin(trial)

    def on_trial_result(
        self, iteration: int, trials: list[Any], trial: Any, result: dict[str, Any], **info: Any
    ) -> None:
        if "epoch" not in result:
            return
        reported = {key: result[key] for key in ("epoch", "value", "seconds", "node")}
        append_event(self._ledger, "reported", trial.trial_id, **reported)
        self._tell("reported", trial)

    def on_trial_complete(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        reached = (trial.last_result or {}).get("epoch", 0)
        event = "completed" if reached >= self._epochs else "pruned"
        append_event(self._ledger, event, trial.trial_id)
        self._tell(event, trial)

    def on_trial_error(self, iteration: int, trials: list[Any], trial: Any, **info: Any) -> None:
        self._begin(trial)
        error_file = Path(trial.error_file or "")
        error = error_file.read_text() if error_file.is_file() else "its process died"
        append_event(self._ledger, "failed", trial.trial_id, error=error)
        self._tell("failed", trial, error)

    def _begin(self, trial: Any) -> None:
        """Enter the trial, once; one that fails in its set-up errs before it starts."""
        if trial.trial_id in self._numbers:
            return
        number = self._numbers.setdefault(trial.trial_id, len(self._numbers))
        append_event(self._ledger, "started", trial.trial_id, params=trial.config)
        self._on_trial(TrialNews("started", number, trial.trial_id))

    def _tell(self, event: str, trial: Any, error: str | None = None) -> None:
        last = trial.last_result or {}
        number = self._numbers[trial.trial_id]
        self._on_trial(
            TrialNews(event, number, trial.trial_id, last.get("epoch", 0), last.get("value"), error)
        )


def _nobody(news: TrialNews) -> None:
    del news
