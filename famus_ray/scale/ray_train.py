"""What Ray Train does our way: how its workers meet, and which failures end a run."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Any

import ray
from ray.exceptions import RayError
from ray.train import UserCallback
from ray.train.torch import TorchConfig
from ray.train.v2._internal.exceptions import RayTrainError  # what lost processes are told by

from famus_ray.scale.meeting import join, meeting_point, was_left

__all__ = ["EndsAtMistakes", "Meeting"]


@dataclass
class Meeting(TorchConfig):  # type: ignore[misc]
    """How the workers meet: at the first one's meeting point, not where Ray Train lets them."""

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
    """Ends the run when the training raises an exception: only lost processes are replaced,
    where Ray Train would begin again at anything."""

    def after_exception(self, run_context: Any, worker_exceptions: dict[int, Exception]) -> None:
        """Raise what the training raised; nothing where a process was lost."""
        for error in worker_exceptions.values():
            if not isinstance(error, RayError | RayTrainError) and not was_left(error):
                raise error
