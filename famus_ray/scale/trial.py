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
        if base["scale"]["workers"] > 1:
            self._process: Any = WorkerGroup(base, folder)
        else:
            from famus_ray.scale.trial_process import TrialProcess

            self._process = TrialProcess(base, folder)
        self._process.begin(config["trial"], config["settings"])

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._process.begin(new_config["trial"], new_config["settings"])
        return True

    def step(self) -> dict[str, Any]:
        return dict(self._process.step())

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the run folder holds the checkpoints."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: the loop goes on from its run folder."""
