"""The learning rate as a function of the epoch, without a state."""

from __future__ import annotations

import math

from famus_ray.config.schema import ScheduleConfig

__all__ = ["learning_rate"]


def learning_rate(base: float, schedule: ScheduleConfig, epoch: int) -> float:
    """The learning rate of epoch `epoch`, counted from 0; `base` is the first epoch's."""
    if schedule.kind == "cosine":
        return base * 0.5 * (1 + math.cos(math.pi * epoch / schedule.epochs))
    if schedule.kind == "step":
        return base * schedule.gamma ** sum(epoch >= m for m in schedule.milestones)
    return base
