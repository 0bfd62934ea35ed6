"""A process that trains one trial after another, alone or in step with its peers."""

from __future__ import annotations

import platform
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import ray
import torch

from famus_ray.errors import Diverged, UserError
from famus_ray.scale.cluster import on_devices
from famus_ray.scale.meeting import join, meeting_point, was_left
from famus_ray.scale.reports import trial_id
from famus_ray.scale.seeded import DatasetCache, SeededRuns
from famus_ray.scale.stopping import machine_fault
from famus_ray.spaces.trial_config import trial_config
from famus_ray.training.allocator import keep_freed_memory

__all__ = ["TrialProcess"]


class TrialProcess:
    """Trains a trial an epoch a step, in the run folder trials/<trial id> of the study's folder.

    What goes wrong in the training is a result, and the process serves the next trial. The data
    set stays in its memory from one trial to the next.
    """

    def __init__(self, base: dict[str, Any], folder: str) -> None:
        self._base = base
        self._folder = Path(folder)
        self._cache = DatasetCache()
        self._node = _node()
        keep_freed_memory()

    def meeting_point(self) -> tuple[str, int]:
        """Host and port at which this process and its peers find each other."""
        return meeting_point()

    def join(self, rank: int, workers: int, host: str, port: int) -> None:
        """Meet the peers."""
        backend = "nccl" if self._base["scale"]["gpus_per_worker"] else "gloo"
        join(rank, workers, host, port, backend)

    def begin(self, number: int, settings: Mapping[str, Any]) -> None:
        """The next steps are those of this trial."""
        self._number, self._settings = number, settings
        self._runs: SeededRuns | None = None

    def step(self) -> dict[str, Any]:
        """The trial's `report` after one more epoch; when it is `done`, also how its `end` came,
        and whether it was `left` by a peer that is gone."""
        try:
            if self._runs is None:
                self._runs = self._start()
            report = self._runs.step()
        except Diverged as error:
            return {"done": True, "end": "pruned", "error": str(error)}
        except UserError as error:
            return {"done": True, "end": "failed", "error": str(error)}
        except Exception as error:  # noqa: BLE001 - whatever the training raises is its own
            fault = machine_fault(error)
            told = traceback.format_exc() + (f"{fault}\n" if fault else "")
            failed = {"done": True, "end": "failed", "error": told, "fault": fault is not None}
            return {**failed, "left": True} if was_left(error) else failed
        done = report.epoch >= self._base["schedule"]["epochs"]
        return {
            "done": done,
            **({"end": "completed"} if done else {}),
            "report": replace(report, node=self._node),
        }

    def _start(self) -> SeededRuns:
        run = on_devices(trial_config(self._base, self._settings))
        torch.set_num_threads(run.run.threads or max(1, int(run.scale.cpus_per_worker)))
        return SeededRuns(run, self._folder / "trials" / trial_id(self._number), self._cache)


def _node() -> str:
    """This node's name: nodes of one machine differ in what follows the machine's."""
    return f"{platform.node()}/{ray.get_runtime_context().get_node_id()[:8]}"
