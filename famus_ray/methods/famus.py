"""FaMUS (Xu et al. 2021): learned weights; gates choose the layers of the meta gradient."""

from __future__ import annotations

import torch
from torch import nn

from famus_ray.config.import_path import is_import_path, own
from famus_ray.config.schema import MetaConfig
from famus_ray.errors import UserError
from famus_ray.meta.gates import FixedGates, GateSampler, LearnedGates, RandomGates
from famus_ray.meta.step import MetaStep
from famus_ray.meta.variations import variations_of
from famus_ray.methods.mwnet import judging_rows, weight_head
from famus_ray.methods.step_settings import StepSettings
from famus_ray.models.layer_groups import LayerGroups, layer_groups

__all__ = ["build"]


def build(model: nn.Module, settings: StepSettings) -> MetaStep:
    """The step of FaMUS.

    Raises:
        UserError: `meta.gated_from` or `meta.open` names no layer of this network.
    """
    meta, variations = settings.meta, variations_of(settings.meta.fidelity)
    groups = _groups(meta, model)
    if meta.lambda2 and not groups.last_layer:
        raise UserError(
            f"meta.lambda2 = {meta.lambda2:g}: matches gradients of the last layer, which none of "
            f"meta.patterns = {list(meta.patterns)} finds; add its name, or set meta.lambda2=0"
        )
    device = next(model.parameters()).device
    head, optimiser = weight_head(meta, device, settings.example_loss)
    gates = _gates(meta, model, groups, settings.noise)
    gates_optimiser = None
    if isinstance(gates, LearnedGates):
        gates_optimiser = torch.optim.SGD(
            gates.parameters(), lr=meta.gate_lr, momentum=0.9, nesterov=variations.gates_nesterov
        )
    return MetaStep(
        head=head,
        head_optimiser=optimiser,
        groups=groups,
        gates=gates,
        gates_optimiser=gates_optimiser,
        expected_open=meta.k,
        sparsity_weight=meta.lambda1,
        last_layer_weight=meta.lambda2,
        lookahead_lr=meta.lookahead_lr,
        scope=meta.scope,
        engine=meta.engine,
        variations=variations,
        parallel=meta.parallel,
        interval=meta.interval,
        cross_fit=judging_rows(meta),
    )


def _gates(
    meta: MetaConfig, model: nn.Module, groups: LayerGroups, noise: torch.Generator
) -> GateSampler:
    """The sampler of Table 4 that the config names."""
    device, variations = next(model.parameters()).device, variations_of(meta.fidelity)
    if meta.sampler == "random":
        return RandomGates(round(meta.k), device, noise)
    if meta.sampler in ("all", "fixed"):
        is_open = [meta.sampler == "all" or g.name.startswith(meta.open) for g in groups.gated]
        if not any(is_open):
            names = ", ".join(g.name for g in groups.gated)
            raise UserError(f"meta.open = {list(meta.open)}: no group begins so; there are {names}")
        return FixedGates(torch.tensor(is_open, dtype=torch.float32, device=device))
    return LearnedGates(
        groups.gated,
        {name: p.shape for name, p in model.named_parameters()},
        hidden=meta.gate_hidden,
        temperature=meta.temperature,
        variations=variations,
        always_open=groups.last_layer if variations.last_layer_open else (),
        generator=noise,
    ).to(device)


def _groups(meta: MetaConfig, model: nn.Module) -> LayerGroups:
    if is_import_path(meta.grouping):
        return _of_the_user(meta.grouping, model)
    grouping = meta.patterns if meta.grouping == "patterns" else meta.grouping
    try:
        return layer_groups(model, grouping, meta.gated_from)
    except ValueError as error:
        raise UserError(f"meta.{error}") from error


def _of_the_user(path: str, model: nn.Module) -> LayerGroups:
    groups = own("meta.grouping", path)(model)
    if not isinstance(groups, LayerGroups):
        raise UserError(f"meta.grouping = {path}: gave a {type(groups).__name__}, not LayerGroups")
    return groups
