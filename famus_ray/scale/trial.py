"""A trial: its runs in one actor of Ray Tune, which the next trial uses again."""

from __future__ import annotations

import json
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray.util
from ray import tune

from famus_ray.config.resolve import resolve
from famus_ray.config.schema import Config
from famus_ray.errors import Diverged
from famus_ray.memory import keep_freed_memory
from famus_ray.scale.cluster import on_devices
from famus_ray.scale.search import trial_id
from famus_ray.scale.seeded import DatasetCache, SeededRuns

__all__ = ["RunTrial", "trial_config"]


class RunTrial(tune.Trainable):  # type: ignore[misc]
    """One epoch a step. Its run folder is trials/<trial id> of the study's folder.

    What goes wrong in the training is a result, and the actor lives on: only a lost process
    is an error to Tune, which begins the trial again. The data set stays in the actor's memory
    from one trial to the next.
    """

    def setup(self, config: dict[str, Any], base: dict[str, Any], folder: str) -> None:
        self._base = base
        self._folder = Path(folder)
        self._cache = DatasetCache()
        self._runs: SeededRuns | None = None
        keep_freed_memory()
        self._begin(config)

    def reset_config(self, new_config: dict[str, Any]) -> bool:
        self._begin(new_config)
        return True

    def step(self) -> dict[str, Any]:
        try:
            if self._runs is None:
                self._runs = self._start()
            report = self._runs.step()
        except Diverged as error:
            return {"done": True, "end": "pruned", "error": str(error)}
        except Exception:  # noqa: BLE001 - whatever the training raises is this trial's alone
            return {"done": True, "end": "failed", "error": traceback.format_exc()}
        done = report.epoch >= self._budget
        return {
            "done": done,
            **({"end": "completed"} if done else {}),
            "report": replace(report, node=ray.util.get_node_ip_address()),
        }

    def save_checkpoint(self, checkpoint_dir: str) -> None:
        """Nothing: the run folder holds the checkpoints."""

    def load_checkpoint(self, checkpoint: Any) -> None:
        """Nothing: the loop goes on from its run folder."""

    def _begin(self, config: dict[str, Any]) -> None:
        self._number: int = config["trial"]
        self._settings: dict[str, Any] = config["settings"]
        self._budget: int = self._base["schedule"]["epochs"]
        self._runs = None

    def _start(self) -> SeededRuns:
        import torch

        run = on_devices(trial_config(self._base, self._settings))
        torch.set_num_threads(run.run.threads or max(1, int(run.scale.cpus_per_worker)))
        return SeededRuns(run, self._folder / "trials" / trial_id(self._number), self._cache)


def trial_config(base: Mapping[str, Any], settings: Mapping[str, Any]) -> Config:
    """The study's base config with a trial's settings, given by their dotted keys."""
    nested = {section: dict(values) for section, values in base.items()}
    for name, value in settings.items():
        section, _, key = name.partition(".")
        # A list among the choices travelled as its JSON text.
        is_list = isinstance(value, str) and value.startswith("[")
        nested[section][key] = json.loads(value) if is_list else value
    return resolve(values=nested).config
