"""A trial: the loop in one actor of Ray Tune, which the next trial uses again."""

from __future__ import annotations

import json
import time
from collections.abc import Iterator, Mapping
from pathlib import Path
from typing import Any

import ray.util
from ray import tune

from famus_ray.config.resolve import resolve
from famus_ray.config.schema import Config
from famus_ray.data.catalog import Dataset, load_dataset
from famus_ray.loop import EpochReport, epochs
from famus_ray.memory import keep_freed_memory
from famus_ray.run_folder import RunFolder
from famus_ray.scale.cluster import on_devices

__all__ = ["RunTrial", "trial_config"]


class RunTrial(tune.Trainable):  # type: ignore[misc]
    """One epoch a step. Its run folder is trials/<trial id> of the study's folder.

    The data set stays in the actor's memory from one trial to the next.
    """

    def setup(self, config: dict[str, Any], base: dict[str, Any], folder: str) -> None:
        self._base = base
        self._folder = Path(folder)
        self._data: tuple[tuple[Any, ...], Dataset] | None = None
        self._best = float("-inf")
        self._seconds = 0.0
        keep_freed_memory()
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        began = time.perf_counter()
        report = next(self._epochs)
        self._seconds += time.perf_counter() - began
        self._best = max(self._best, report.metrics[self._run.study.metric])
        done = report.epoch == self._run.schedule.epochs
        if done:
            next(self._epochs, None)  # what the loop does after its last epoch
        return {
            "epoch": report.epoch,
            "value": self._best,
            "seconds": self._seconds,
            "node": ray.util.get_node_ip_address(),
            "done": done,
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the run folder holds the checkpoints."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: the loop goes on from its run folder."""

    def _begin(self, settings: Mapping[str, Any]) -> None:
        import torch

        self._run = on_devices(trial_config(self._base, settings))
        torch.set_num_threads(self._run.run.threads or max(1, int(self._run.scale.cpus_per_worker)))
        key = (self._run.data, self._run.noise, self._run.run.seed)
        if self._data is None or self._data[0] != key:
            self._data = (key, load_dataset(*key))
        self._best = float("-inf")
        self._seconds = 0.0
        folder = RunFolder(self._folder / "trials" / self.trial_id)
        self._epochs: Iterator[EpochReport] = epochs(self._run, folder, data=self._data[1])


def trial_config(base: Mapping[str, Any], settings: Mapping[str, Any]) -> Config:
    """The study's base config with a trial's settings, given by their dotted keys."""
    nested = {section: dict(values) for section, values in base.items()}
    for name, value in settings.items():
        section, _, key = name.partition(".")
        # A list among the choices travelled as its JSON text.
        is_list = isinstance(value, str) and value.startswith("[")
        nested[section][key] = json.loads(value) if is_list else value
    return resolve(values=nested).config
