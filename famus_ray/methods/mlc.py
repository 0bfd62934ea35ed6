"""MLC (Wang et al. 2020): a class transition matrix, learned on the meta set."""

# Shapes: C classes.
from __future__ import annotations

import torch
from torch import nn

from famus_ray.meta.heads import TransitionMatrix, negative_log_likelihood
from famus_ray.meta.step import MetaStep
from famus_ray.methods.mixmatch import mixed_label_loss
from famus_ray.methods.mwnet import ungated_step
from famus_ray.methods.step_settings import StepSettings

__all__ = ["build"]


def build(model: nn.Module, settings: StepSettings) -> MetaStep:
    """The step of MLC: theta is the transition matrix (C, C), updated by SGD and projected."""
    meta, device = settings.meta, next(model.parameters()).device
    label_loss = mixed_label_loss if settings.mixed else negative_log_likelihood
    head = TransitionMatrix(settings.classes, label_loss=label_loss).to(device)
    optimiser = torch.optim.SGD(head.parameters(), lr=meta.matrix_lr)
    return ungated_step(model, meta, head, optimiser)
