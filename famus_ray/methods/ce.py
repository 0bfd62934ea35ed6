"""Plain training with cross-entropy or LDAM: the baseline."""

from __future__ import annotations

import torch
from torch import nn

from famus_ray.config.schema import Config
from famus_ray.meta.heads import MeanCrossEntropy
from famus_ray.meta.step import PlainStep
from famus_ray.methods.losses import MeanClassLoss, class_loss

__all__ = ["build"]


def build(config: Config, model: nn.Module, gate_noise: torch.Generator) -> PlainStep:
    """The step of plain training; it has no settings of its own."""
    del model, gate_noise
    loss = class_loss(config.loss, config.model)
    return PlainStep(MeanCrossEntropy() if loss is None else MeanClassLoss(loss))
