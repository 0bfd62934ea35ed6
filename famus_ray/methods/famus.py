"""FaMUS (Xu et al. 2021): learned weights, the meta gradient from the layers that gates open."""

from __future__ import annotations

import torch
from torch import nn

from famus_ray.config.schema import Config
from famus_ray.errors import UserError
from famus_ray.meta.gates import LearnedGates
from famus_ray.meta.step import MetaStep
from famus_ray.methods.mwnet import weight_head
from famus_ray.models.layer_groups import LayerGroups, layer_groups

__all__ = ["build"]


def build(config: Config, model: nn.Module, gate_noise: torch.Generator) -> MetaStep:
    """The step of FaMUS.

    Raises:
        UserError: `meta.gated_from` names no layer of this network.
    """
    meta = config.meta
    device = next(model.parameters()).device
    groups = _groups(config, model)
    head, optimiser = weight_head(meta, device)
    released = meta.fidelity == "released"
    gates = LearnedGates(
        groups.gated,
        {name: p.shape for name, p in model.named_parameters()},
        hidden=meta.gate_hidden,
        temperature=meta.temperature,
        fidelity=meta.fidelity,
        always_open=groups.last_layer if released else (),
        generator=gate_noise,
    ).to(device)
    return MetaStep(
        head=head,
        head_optimiser=optimiser,
        groups=groups,
        gates=gates,
        gates_optimiser=torch.optim.SGD(
            gates.parameters(), lr=meta.gate_lr, momentum=0.9, nesterov=released
        ),
        expected_open=meta.k,
        sparsity_weight=meta.lambda1,
        last_layer_weight=meta.lambda2,
        lookahead_lr=meta.lookahead_lr,
        scope=meta.scope,
        engine=meta.engine,
        fidelity=meta.fidelity,
    )


def _groups(config: Config, model: nn.Module) -> LayerGroups:
    try:
        return layer_groups(model, config.meta.grouping, config.meta.gated_from)
    except ValueError as error:
        raise UserError(f"meta.{error}") from error
