"""Meta-Weight-Net (Shu et al. 2019): learned weights, the meta gradient from every layer."""

from __future__ import annotations

import torch
from torch import nn

from famus_ray.config.schema import MetaConfig
from famus_ray.meta.cross_fit import CrossFit
from famus_ray.meta.gates import FixedGates
from famus_ray.meta.heads import LearnedWeights, WeightNet
from famus_ray.meta.step import MetaStep
from famus_ray.meta.variations import variations_of
from famus_ray.methods.mixmatch import HalvesWeights, MixedLoss
from famus_ray.methods.step_settings import StepSettings
from famus_ray.models.layer_groups import layer_groups

__all__ = ["build", "judging_rows", "ungated_step", "weight_head"]


def build(model: nn.Module, settings: StepSettings) -> MetaStep:
    """The step of MW-Net: FaMUS with every gate open and no regulariser."""
    meta, device = settings.meta, next(model.parameters()).device
    head, optimiser = weight_head(meta, device, settings.example_loss)
    return ungated_step(model, meta, head, optimiser)


def ungated_step(
    model: nn.Module, meta: MetaConfig, head: nn.Module, optimiser: torch.optim.Optimizer
) -> MetaStep:
    """A meta step whose meta gradient comes from every layer.

    Args:
        head: the loss head; its parameters are theta.
        optimiser: updates theta.
    """
    groups = layer_groups(model, "stage", "all")
    device = next(model.parameters()).device
    return MetaStep(
        head=head,
        head_optimiser=optimiser,
        groups=groups,
        gates=FixedGates(torch.ones(len(groups.gated), device=device)),
        lookahead_lr=meta.lookahead_lr,
        engine=meta.engine,
        parallel=meta.parallel,
        interval=meta.interval,
        cross_fit=judging_rows(meta),
    )


def weight_head(
    meta: MetaConfig, device: torch.device, loss: nn.Module | None = None
) -> tuple[LearnedWeights, torch.optim.Optimizer]:
    """The loss head with the weight net Psi, and its Adam optimiser."""
    in_halves = isinstance(loss, MixedLoss) and not variations_of(meta.fidelity).one_balance
    kind = HalvesWeights if in_halves else LearnedWeights
    head = kind(WeightNet(meta.hidden), loss).to(device)
    optimiser = torch.optim.Adam(head.parameters(), lr=meta.lr, weight_decay=meta.weight_decay)
    return head, optimiser


def judging_rows(meta: MetaConfig) -> CrossFit | None:
    """The `CrossFit` of `meta.source = batch`; None if a meta set is used."""
    return CrossFit(meta.clean_share) if meta.source == "batch" else None
