"""Plain training with cross-entropy or LDAM: the baseline."""

from __future__ import annotations

from torch import nn

from famus_ray.meta.heads import MeanCrossEntropy
from famus_ray.meta.step import PlainStep
from famus_ray.methods.losses import MeanClassLoss
from famus_ray.methods.step_settings import StepSettings

__all__ = ["build"]


def build(model: nn.Module, settings: StepSettings) -> PlainStep:
    """The step of plain training; it has no settings of its own."""
    del model
    loss = settings.class_loss
    return PlainStep(MeanCrossEntropy() if loss is None else MeanClassLoss(loss))
