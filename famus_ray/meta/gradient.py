"""The meta gradient: how the meta loss after one training step depends on theta and the gates.

    w_hat(theta) = w - lr * grad_w L_train(w; theta)            Virtual-Train, Eq. 3
    meta gradient = d/dtheta [ L_meta(w_hat(theta)) + lambda2 * L_g ]   Meta-Train, Eq. 4, 12

With u_l the gradient of the meta loss at w_hat and g_l the train gradient at w, both
ordinary gradients, the chain rule needs one Jacobian-vector product and no second backward:
push d_l = -lr * r_l * u_l through the network to get the logits' tangent dz; then

    d L_meta / d theta = d/dtheta <grad_z L_train(z; theta), dz>     on logits alone
    d L_meta / d r_l   = -lr * <u_l, g_l>

L_g is a function of g at the last layer, so its derivative joins d there. Both engines give
the same number: `jvp` by the identity above, `double_backward` by differentiating through
the virtual step, which is the definition, and the oracle of the tests.
"""

# Shapes: B train examples, C classes, G gated layer groups.
from __future__ import annotations

from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Literal

import torch
from torch import Tensor, nn
from torch.func import functional_call
from torch.nn.attention import SDPBackend, sdpa_kernel

from famus_ray.meta.collective import all_reduce_sum_, global_sum, world_size
from famus_ray.meta.gates import FixedGates, GateSampler
from famus_ray.meta.heads import mean_cross_entropy
from famus_ray.meta.last_layer import last_layer_loss
from famus_ray.meta.replay import ForwardRecord
from famus_ray.meta.tangent import logits_tangent
from famus_ray.models.layer_groups import LayerGroups, layer_groups

__all__ = ["Engine", "MetaGradient", "Scope", "meta_gradient"]

Batch = tuple[Tensor, Tensor]
MetaLoss = Callable[[Tensor, Tensor], Tensor]
Engine = Literal["jvp", "double_backward"]
Scope = Literal["all", "tail"]


@dataclass(frozen=True)
class MetaGradient:
    """What one virtual and meta step found out; nothing is updated yet.

    Attributes:
        head_grads: the meta gradient by name of the head's parameter, summed over all processes.
        gates_G: the gates drawn, differentiable in the sampler's parameters.
        gate_grads_G: derivative of the meta loss by each gate, the same on every process.
        logits_BC: the train batch's logits, still attached to the network: the actual step
            takes its gradient from here and needs no forward of its own.
        meta_loss: this process's share of L_meta at the virtual weights, a detached scalar.
    """

    head_grads: dict[str, Tensor]
    gates_G: Tensor
    gate_grads_G: Tensor
    logits_BC: Tensor
    meta_loss: Tensor


def meta_gradient(
    model: nn.Module,
    head: nn.Module,
    train_batch: Batch,
    meta_batch: Batch,
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

    The network is run in the mode it is in; in training mode its running statistics are
    updated once, by the train batch. No parameter and no `.grad` changes.

    Args:
        model: any network from inputs to logits (B, C).
        head: the training loss as a function of logits and targets, `heads`.
        train_batch: inputs and targets, this process's share of the batch.
        meta_batch: clean inputs and targets, this process's share.
        lookahead_lr: learning rate of the virtual step.
        groups: the gated layer groups; all parameters in one piece when left out.
        gates: draws r (G,); all open when left out.
        meta_loss: loss of the meta batch, this process's share of the whole.
        last_layer_weight: lambda2 of Eq. 12.
        match_spread: L_g compares the standard deviation as well as the mean (released code).
        scope: `all` moves every layer in the virtual step, `tail` the gated ones only.
        engine: `jvp`, or `double_backward`, the slow definition.

    Raises:
        ValueError: an unknown engine or scope.
    """
    if engine not in _ENGINES:
        raise ValueError(f"engine = {engine!r}: must be one of {', '.join(_ENGINES)}")
    if scope not in ("all", "tail"):
        raise ValueError(f"scope = {scope!r}: must be all or tail")
    groups = groups or layer_groups(model, "layer")
    gates = gates or FixedGates(_ones_like_first(model, len(groups.gated)))
    look = _Lookahead(
        model, head, groups, gates, meta_loss, lookahead_lr, last_layer_weight, match_spread, scope
    )
    return _ENGINES[engine](look, train_batch, meta_batch)


@dataclass(frozen=True)
class _Lookahead:
    model: nn.Module
    head: nn.Module
    groups: LayerGroups
    gates: GateSampler
    meta_loss: MetaLoss
    lr: float
    last_layer_weight: float
    match_spread: bool
    scope: Scope

    def trainable(self) -> dict[str, nn.Parameter]:
        return {n: p for n, p in self.model.named_parameters() if p.requires_grad}

    def moved(self) -> list[str]:
        """Names of the parameters that the virtual step moves."""
        return list(self.trainable() if self.scope == "all" else self.groups.gated_parameters)

    def loss_at(self, moved: Mapping[str, Tensor], meta_batch: Batch) -> Tensor:
        """The meta loss with `moved` in place of the network's parameters. Its running
        statistics are left alone: the forward sees copies of the buffers."""
        still = {n: p.detach() for n, p in self.model.named_parameters() if n not in moved}
        inputs, targets = meta_batch
        logits = functional_call(self.model, {**still, **moved, **self.buffers()}, (inputs,))
        return self.meta_loss(logits, targets)

    def buffers(self) -> dict[str, Tensor]:
        return {name: buffer.clone() for name, buffer in self.model.named_buffers()}


def _by_jvp(look: _Lookahead, train_batch: Batch, meta_batch: Batch) -> MetaGradient:
    inputs, targets = train_batch
    gated = look.groups.gated_parameters
    record = ForwardRecord(look.model, gated)
    with record.recording():
        logits_BC = look.model(inputs)

    # Virtual-Train: dphi_BC keeps its graph to theta, on logits alone.
    z_BC = logits_BC.detach().requires_grad_()
    (dphi_BC,) = torch.autograd.grad(look.head(z_BC, targets), z_BC, create_graph=True)
    names = look.moved()
    parameters = look.trainable()
    train_grads = _grads(logits_BC, {n: parameters[n] for n in names}, dphi_BC.detach())
    all_reduce_sum_(list(train_grads.values()))
    gates_G = look.gates(look.groups.gated, train_grads)

    # Meta-Train: the meta gradient at the virtual weights, down to the lowest gated layer.
    tail = {n: _step(parameters[n], train_grads[n], look.lr).requires_grad_() for n in gated}
    trunk = {n: _step(parameters[n], train_grads[n], look.lr) for n in names if n not in tail}
    meta_loss = look.loss_at({**trunk, **tail}, meta_batch)
    del trunk
    meta_grads = _grads(meta_loss, tail, None)
    all_reduce_sum_(list(meta_grads.values()))
    gate_grads_G = torch.stack(
        [-look.lr * _dot(group.parameters, meta_grads, train_grads) for group in look.groups.gated]
    )

    direction = _direction(look, gates_G.detach(), meta_grads, train_grads)
    del tail, train_grads, meta_grads
    dz_BC = logits_tangent(look.model, inputs, direction, look.buffers(), record)
    theta = dict(look.head.named_parameters())
    head_grads = _grads((dphi_BC * dz_BC).sum(), theta, None)
    all_reduce_sum_(list(head_grads.values()))
    return MetaGradient(head_grads, gates_G, gate_grads_G, logits_BC, meta_loss.detach())


def _direction(
    look: _Lookahead,
    gates_G: Tensor,
    meta_grads: Mapping[str, Tensor],
    train_grads: Mapping[str, Tensor],
) -> dict[str, Tensor]:
    """d: -lr * r_l * u_l where a gate is open, and lambda2 * dL_g/dg at the last layer.

    On a GPU closed gates give zeros instead of being left out: reading them would stall it.
    """
    on_gpu = gates_G.is_cuda
    direction = {
        name: -look.lr * gate * meta_grads[name]
        for group, gate in zip(look.groups.gated, gates_G, strict=True)
        if on_gpu or gate.item() != 0.0
        for name in group.parameters
    }
    if look.last_layer_weight:
        last = {n: train_grads[n].detach().requires_grad_() for n in look.groups.last_layer}
        loss = look.last_layer_weight * last_layer_loss(last, meta_grads, look.match_spread)
        for name, grad in _grads(loss, last, None).items():
            direction[name] = direction[name] + grad if name in direction else grad
    return direction


def _by_double_backward(look: _Lookahead, train_batch: Batch, meta_batch: Batch) -> MetaGradient:
    inputs, targets = train_batch
    with sdpa_kernel(SDPBackend.MATH):  # the fused kernels have no second derivative
        logits_BC = look.model(inputs)
    parameters = look.trainable()
    names = look.moved()
    train_loss = look.head(logits_BC, targets)
    grads = torch.autograd.grad(
        train_loss, [parameters[n] for n in names], create_graph=True, materialize_grads=True
    )
    train_grads = {n: global_sum(g) for n, g in zip(names, grads, strict=True)}
    gates_G = look.gates(look.groups.gated, {n: g.detach() for n, g in train_grads.items()})

    # The gated gradient keeps its value whatever the gate says; the gate decides whether
    # theta is reached through it, and is itself straight-through.
    r_G = gates_G.detach().requires_grad_()
    gate_of = {
        name: r
        for group, r in zip(look.groups.gated, r_G, strict=True)
        for name in group.parameters
    }
    moved = {}
    for name in names:
        value = train_grads[name].detach()
        if name in gate_of:
            r = gate_of[name]
            value = value + r.detach() * (train_grads[name] - value) + (r - r.detach()) * value
        moved[name] = _step(parameters[name], value, look.lr)
    objective = meta_loss = look.loss_at(moved, meta_batch)
    if look.last_layer_weight:
        last = {n: train_grads[n] for n in look.groups.last_layer}
        meta_grads = _grads(meta_loss, {n: moved[n] for n in last}, None)
        all_reduce_sum_(list(meta_grads.values()))
        mismatch = last_layer_loss(last, meta_grads, look.match_spread)
        objective = objective + look.last_layer_weight * mismatch / world_size()
    theta = dict(look.head.named_parameters())
    found = _grads(objective, {**theta, "": r_G}, None)
    gate_grads_G = found.pop("")
    all_reduce_sum_([*found.values(), gate_grads_G])
    return MetaGradient(found, gates_G, gate_grads_G, logits_BC, meta_loss.detach())


_ENGINES: dict[str, Callable[[_Lookahead, Batch, Batch], MetaGradient]] = {
    "jvp": _by_jvp,
    "double_backward": _by_double_backward,
}


def _step(parameter: Tensor, grad: Tensor, lr: float) -> Tensor:
    """The parameter after one plain gradient step, w_hat of Eq. 3."""
    return torch.add(parameter.detach(), grad, alpha=-lr)


def _grads(
    output: Tensor, inputs: Mapping[str, Tensor], grad_output: Tensor | None
) -> dict[str, Tensor]:
    """Gradients by name, zeros where the output does not depend; the graph is kept."""
    if not inputs:
        return {}
    grads = torch.autograd.grad(
        output, list(inputs.values()), grad_output, retain_graph=True, materialize_grads=True
    )
    return dict(zip(inputs, grads, strict=True))


def _dot(names: tuple[str, ...], a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([torch.dot(a[n].flatten(), b[n].flatten()) for n in names]).sum()


def _ones_like_first(model: nn.Module, count: int) -> Tensor:
    first = next(model.parameters())
    return torch.ones(count, dtype=first.dtype, device=first.device)
