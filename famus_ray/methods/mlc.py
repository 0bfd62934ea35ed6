"""MLC (Wang et al. 2020): a class transition matrix, learned on the meta set."""

from __future__ import annotations

import torch
from torch import nn

from famus_ray.config.schema import Config
from famus_ray.meta.gates import FixedGates
from famus_ray.meta.heads import TransitionMatrix, negative_log_likelihood
from famus_ray.meta.step import MetaStep
from famus_ray.methods.mixmatch import mixed_label_loss
from famus_ray.methods.mwnet import judging_rows
from famus_ray.models.layer_groups import layer_groups

__all__ = ["build"]


def build(config: Config, model: nn.Module, gate_noise: torch.Generator) -> MetaStep:
    """The step of MLC: theta is the transition matrix, updated by SGD and projected."""
    del gate_noise
    first = next(model.parameters())
    classes = list(model.parameters())[-1].shape[0]  # the classifier's bias
    label_loss = mixed_label_loss if config.has_two_networks else negative_log_likelihood
    head = TransitionMatrix(classes, label_loss=label_loss).to(first.device)
    groups = layer_groups(model, "stage", "all")
    return MetaStep(
        head=head,
        head_optimiser=torch.optim.SGD(head.parameters(), lr=config.meta.matrix_lr),
        groups=groups,
        gates=FixedGates(torch.ones(len(groups.gated), device=first.device)),
        lookahead_lr=config.meta.lookahead_lr,
        engine=config.meta.engine,
        parallel=config.meta.parallel,
        interval=config.meta.interval,
        cross_fit=judging_rows(config.meta),
    )
