"""Meta-Weight-Net (Shu et al. 2019): learned weights, the meta gradient from every layer."""

from __future__ import annotations

import torch
from torch import nn

from famus_ray.config.schema import Config, MetaConfig
from famus_ray.meta.cross_fit import CrossFit
from famus_ray.meta.gates import FixedGates
from famus_ray.meta.heads import LearnedWeights, WeightNet
from famus_ray.meta.step import MetaStep
from famus_ray.methods.losses import example_loss
from famus_ray.methods.mixmatch import HalvesWeights, MixedLoss
from famus_ray.models.layer_groups import layer_groups

__all__ = ["build", "judging_rows", "weight_head"]


def build(config: Config, model: nn.Module, gate_noise: torch.Generator) -> MetaStep:
    """The step of MW-Net: FaMUS with every gate open and no regulariser."""
    del gate_noise
    first = next(model.parameters())
    groups = layer_groups(model, "stage", "all")
    loss = example_loss(config)
    head, optimiser = weight_head(config.meta, first.device, loss)
    return MetaStep(
        head=head,
        head_optimiser=optimiser,
        groups=groups,
        gates=FixedGates(torch.ones(len(groups.gated), device=first.device)),
        lookahead_lr=config.meta.lookahead_lr,
        engine=config.meta.engine,
        parallel=config.meta.parallel,
        interval=config.meta.interval,
        cross_fit=judging_rows(config.meta),
    )


def weight_head(
    meta: MetaConfig, device: torch.device, loss: nn.Module | None = None
) -> tuple[LearnedWeights, torch.optim.Optimizer]:
    """The weight net Psi in its head, and the Adam that trains it."""
    in_halves = isinstance(loss, MixedLoss) and meta.fidelity == "paper"
    kind = HalvesWeights if in_halves else LearnedWeights
    head = kind(WeightNet(meta.hidden), loss).to(device)
    optimiser = torch.optim.Adam(head.parameters(), lr=meta.lr, weight_decay=meta.weight_decay)
    return head, optimiser


def judging_rows(meta: MetaConfig) -> CrossFit | None:
    """The rows of a train batch that judge it; None where there is a meta set."""
    return CrossFit(meta.clean_share) if meta.source == "batch" else None
