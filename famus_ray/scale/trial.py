"""A trial: its actor in Ray Tune, which the next trial uses again."""

from __future__ import annotations

from typing import Any

from ray import tune

from famus_ray.scale.worker_group import WorkerGroup

__all__ = ["RunTrial"]


class RunTrial(tune.Trainable):  # type: ignore[misc]
    """One epoch a step: trained here, or by workers of its own where a run has several.

    What goes wrong in the training is a result, and the actor lives on: only a lost process
    is an error to Tune, which begins the trial again.
    """

    def setup(self, config: dict[str, Any], base: dict[str, Any], folder: str) -> None:
        self._study = base, folder
        self._process: Any = None
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        if self._process is None:
            self._process = self._new_process()
            self._process.begin(*self._trial)
        return dict(self._process.step())

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the run folder holds the checkpoints."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: the loop goes on from its run folder."""

    def _begin(self, config: dict[str, Any]) -> None:
        self._trial = config["trial"], config["settings"]
        if self._process is not None:
            self._process.begin(*self._trial)

    def _new_process(self) -> Any:
        """What trains, made by the first step: until an actor is there, Tune hands its trial to
        any that is free and drops it, and one that first imports torch would come too late.
        """
        base, _ = self._study
        if base["scale"]["workers"] > 1:
            return WorkerGroup(*self._study)
        from famus_ray.scale.trial_process import TrialProcess

        return TrialProcess(*self._study)
