"""A trial's actor in Ray Tune, which later trials reuse."""

from __future__ import annotations

from typing import Any

from ray import tune

from famus_ray.scale.parcel import Parcel
from famus_ray.scale.worker_group import WorkerGroup

__all__ = ["RunTrial"]


class RunTrial(tune.Trainable):  # type: ignore[misc]
    """One step is one epoch, trained in this process or by several workers of its own.

    An exception of the training is a result, and the actor stays usable. Only a lost process is
    an error to Tune, which starts the trial again.
    """

    def setup(
        self, config: dict[str, Any], base: dict[str, Any], folder: str, parcel: Parcel
    ) -> None:
        self._study = base, folder, parcel
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
        """Does nothing: the run folder holds the checkpoints."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Does nothing: the loop resumes from its run folder."""

    def _begin(self, config: dict[str, Any]) -> None:
        self._trial = config["trial"], config["settings"]
        if self._process is not None:
            self._process.begin(*self._trial)

    def _new_process(self) -> Any:
        """The process that trains, created in the first step.

        Importing torch earlier would delay the actor's start, and Tune gives the trial of an
        actor that is not ready to a free one and drops the new actor.
        """
        base, *_ = self._study
        if base["scale"]["workers"] > 1:
            return WorkerGroup(*self._study)
        from famus_ray.scale.trial_process import TrialProcess

        return TrialProcess(*self._study)
