"""Changes to Ray Train: how its workers connect, and which failures end a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.train import UserCallback
from ray.train.torch import TorchConfig
from ray.train.v2._internal.exceptions import RayTrainError  # raised for lost processes

from famus_ray.scale.meeting import join, meeting_point, was_left

__all__ = ["EndsAtMistakes", "Meeting"]


@dataclass
class Meeting(TorchConfig):  # type: ignore[misc]
    """Connects the workers at the first one's `meeting_point` instead of Ray Train's address."""

    @property
    def backend_cls(self) -> Any:
        return _AtTheFirst


class _AtTheFirst(TorchConfig().backend_cls):  # type: ignore[misc]
    def on_start(self, worker_group: Any, backend_config: TorchConfig) -> None:
        host, port = worker_group.execute_single(0, meeting_point)
        workers = len(worker_group)
        joining = [
            worker_group.execute_single_async(
                rank, join, rank, workers, host, port, backend_config.backend
            )
            for rank in range(workers)
        ]
        ray.get(joining)


class EndsAtMistakes(UserCallback):  # type: ignore[misc]
    """Ends the run when training raises an exception; only lost processes are replaced.

    Ray Train by default starts again after any exception.
    """

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Raises the exception of the training; does nothing if a process was lost."""
        for error in worker_exceptions.values():
            if not isinstance(error, RayError | RayTrainError) and not was_left(error):
                raise error
