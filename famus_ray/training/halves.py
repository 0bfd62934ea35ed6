"""The processes of a run in two halves; each half trains one of two networks."""

from __future__ import annotations

from collections.abc import Sequence
from io import BytesIO
from typing import Any

import torch
import torch.distributed as dist

from famus_ray.distributed import rank, world_size
from famus_ray.training.learner import Learner

__all__ = ["Halves"]


class Halves:
    """Two groups of processes, the lower and the higher ranks.

    All processes must construct it together: it creates process groups.

    Attributes:
        group: this process's half.
        mine: the network that it trains, 0 or 1.
    """

    def __init__(self) -> None:
        half = world_size() // 2
        ranks = [list(range(half)), list(range(half, 2 * half))]
        groups = [dist.new_group(of_one) for of_one in ranks]
        self.mine = rank() // half
        self.group: Any = groups[self.mine]
        self._first = (0, half)

    def exchange(
        self, learners: Sequence[Learner], metrics: dict[str, float]
    ) -> list[dict[str, float]]:
        """Sends both learners' states after an epoch to every process; returns both's metrics.

        Args:
            learners: both; the one that this process did not train is overwritten.
            metrics: of the learner that this process trained.
        """
        found = []
        for k, learner in enumerate(learners):
            message = [_packed(learner, metrics) if rank() == self._first[k] else b""]
            dist.broadcast_object_list(message, src=self._first[k])
            device = next(learner.model.parameters()).device
            state = torch.load(BytesIO(message[0]), map_location=device, weights_only=True)
            if k != self.mine:
                learner.load_state_dict(state)
            found.append(state["metrics"])
        return found


def _packed(learner: Learner, metrics: dict[str, float]) -> bytes:
    buffer = BytesIO()
    torch.save({**learner.state_dict(), "metrics": metrics}, buffer)
    return buffer.getvalue()
