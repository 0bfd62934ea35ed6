"""A process that trains one trial after another, alone or together with other workers."""

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
from famus_ray.scale.parcel import Parcel
from famus_ray.scale.reports import trial_id
from famus_ray.scale.seeded import DatasetCache, SeededRuns
from famus_ray.scale.stopping import machine_fault
from famus_ray.spaces.trial_config import trial_config
from famus_ray.training.allocator import keep_freed_memory

__all__ = ["TrialProcess"]


class TrialProcess:
    """Trains trials, one epoch per step, in the folders trials/<trial id> of the study.

    An exception of the training is a result, and the process stays usable for the next trial. The
    data set stays in memory from one trial to the next.

    Args:
        base: the config that every trial starts from, by section and key.
        folder: of the study.
        parcel: the user's own parts.
    """

    def __init__(self, base: dict[str, Any], folder: str, parcel: Parcel) -> None:
        parcel.unpack()
        self._base = base
        self._folder = Path(folder)
        self._cache = DatasetCache()
        self._node = _node()
        keep_freed_memory()

    def meeting_point(self) -> tuple[str, int]:
        """Host and port of this process, of rank 0, for all workers of the trial."""
        return meeting_point()

    def join(self, rank: int, workers: int, host: str, port: int) -> None:
        """Joins the process group of the trial's workers."""
        backend = "nccl" if self._base["scale"]["gpus_per_worker"] else "gloo"
        join(rank, workers, host, port, backend)

    def begin(self, number: int, settings: Mapping[str, Any]) -> None:
        """Makes this trial the one that the next steps train."""
        self._number, self._settings = number, settings
        self._runs: SeededRuns | None = None

    def step(self) -> dict[str, Any]:
        """Trains one more epoch and returns its result.

        Returns:
            `report`: the trial's `Report`. `done`: whether the trial has ended; then also `end`
            (completed, pruned or failed), and after an exception `error`, `fault` (of the
            machine) and `left` (another worker was lost).
        """
        try:
            if self._runs is None:
                self._runs = self._start()
            report = self._runs.step()
        except Diverged as error:
            return {"done": True, "end": "pruned", "error": str(error)}
        except UserError as error:
            return {"done": True, "end": "failed", "error": str(error)}
        except Exception as error:  # noqa: BLE001 - an exception of the training is a result
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
    """This node's name: the machine's, then the id in Ray, as a machine may have many nodes."""
    return f"{platform.node()}/{ray.get_runtime_context().get_node_id()[:8]}"
