"""The meta gradient: how the meta loss after one training step depends on theta and the gates.

    w_hat(theta) = w - lr * grad_w L_train(w; theta)            Virtual-Train, Eq. 3
    meta gradient = d/dtheta [ L_meta(w_hat(theta)) + lambda2 * L_g ]   Meta-Train, Eq. 4, 12

With u_l the gradient of the meta loss at w_hat and g_l the train gradient at w, both
ordinary gradients, the chain rule needs one Jacobian-vector product and no second backward:
push d_l = -lr * r_l * u_l through the network to get the logits' tangent dz; then

    d L_meta / d theta = d/dtheta <grad_z L_train(z; theta), dz>     on logits alone
    d L_meta / d r_l   = -lr * <u_l, g_l>

L_g is a function of g at the last layer, so its derivative is added to d there. Three engines
compute the same gradient. `jvp` uses the identity above. `double_backward` differentiates
through the virtual step: this is the definition, and the reference in the tests.
`finite_difference` takes dz from two forwards, with a truncation error.
"""

# Shapes: B train examples, C classes, G gated layer groups.
from __future__ import annotations

from collections.abc import Callable

import torch
from torch import Tensor, nn

from famus_ray.batch import Batch
from famus_ray.choices import Engine, Scope
from famus_ray.meta.arguments import (
    check_batch,
    check_gates,
    check_groups,
    check_meta_loss,
    check_rate,
)
from famus_ray.meta.cross_fit import CrossFit
from famus_ray.meta.double_backward import by_double_backward
from famus_ray.meta.gates import FixedGates, GateSampler
from famus_ray.meta.heads import mean_cross_entropy
from famus_ray.meta.jvp import by_finite_difference, by_jvp
from famus_ray.meta.lookahead import Lookahead, MetaGradient, MetaLoss
from famus_ray.models.layer_groups import LayerGroups, layer_groups

__all__ = ["MetaGradient", "MetaLoss", "meta_gradient"]


_ENGINES: dict[str, Callable[[Lookahead, Batch, Batch | None], MetaGradient]] = {
    "jvp": by_jvp,
    "finite_difference": by_finite_difference,
    "double_backward": by_double_backward,
}


def meta_gradient(
    model: nn.Module,
    head: nn.Module,
    train_batch: Batch,
    meta_batch: Batch | CrossFit,
    *,
    lookahead_lr: float,
    groups: LayerGroups | None = None,
    gates: GateSampler | None = None,
    meta_loss: MetaLoss = mean_cross_entropy,
    last_layer_weight: float = 0.0,
    match_spread: bool = False,
    scope: Scope = "all",
    engine: Engine = "jvp",
) -> MetaGradient:
    """The gradient of the meta loss after one virtual training step.

    The network runs in its current mode; in training mode its running statistics are updated
    once, by the train batch. No parameter and no `.grad` changes.

    Args:
        model: any network from inputs to logits (B, C).
        head: the training loss as a function of logits and targets (see `famus_ray.meta.heads`).
        train_batch: inputs and targets, this process's share of the batch.
        meta_batch: clean inputs and targets, this process's share; or a `CrossFit`, which takes
            rows of the train batch and reuses their features below the moved layers.
        lookahead_lr: learning rate of the virtual step, 0 or more.
        groups: the gated layer groups; every layer by default.
        gates: draws r (G,); all gates are open by default.
        meta_loss: loss of the meta batch, this process's share of the global one; not with
            `CrossFit`, which has its own.
        last_layer_weight: lambda2 of Eq. 12.
        match_spread: L_g compares the standard deviation as well as the mean (released code).
        scope: `all` moves every layer in the virtual step, `tail` only the gated ones.
        engine: `jvp`, exact and fast; `double_backward`, the slow definition;
            `finite_difference`, an approximation for networks without forward mode.

    Raises:
        ValueError: an unknown engine or scope, arguments that do not fit, or a network whose
            forward gives other logits when it is repeated.
    """
    if engine not in _ENGINES:
        raise ValueError(f"engine = {engine!r}: must be one of {', '.join(_ENGINES)}")
    if scope not in ("all", "tail"):
        raise ValueError(f"scope = {scope!r}: must be all or tail")
    if not isinstance(head, nn.Module):
        raise ValueError("head: must be an nn.Module, whose parameters are theta")
    check_rate(lookahead_lr)
    check_batch("train_batch", train_batch)
    if not isinstance(meta_batch, CrossFit):
        check_batch("meta_batch", meta_batch)
    check_meta_loss(meta_batch, meta_loss is mean_cross_entropy)
    groups = layer_groups(model, "layer") if groups is None else groups
    check_groups(model, groups)
    if gates is not None:
        check_gates(gates)
    gates = gates or FixedGates(_ones_like_first(model, len(groups.gated)))
    cross_fit = meta_batch if isinstance(meta_batch, CrossFit) else None
    look = Lookahead(
        model=model,
        head=head,
        groups=groups,
        gates=gates,
        meta_loss=cross_fit.meta_loss if cross_fit else meta_loss,
        lr=lookahead_lr,
        last_layer_weight=last_layer_weight,
        match_spread=match_spread,
        scope=scope,
        cross_fit=cross_fit,
    )
    other = None if isinstance(meta_batch, CrossFit) else meta_batch
    return _ENGINES[engine](look, train_batch, other)


def _ones_like_first(model: nn.Module, count: int) -> Tensor:
    first = next(model.parameters())
    return torch.ones(count, dtype=first.dtype, device=first.device)
