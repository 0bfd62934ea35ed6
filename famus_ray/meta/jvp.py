"""The fast engines: ordinary gradients and one tangent of the logits; no second backward."""

# Shapes: B train examples, C classes, G gated layer groups.
from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext

import torch
from torch import Tensor

from famus_ray.batch import Batch
from famus_ray.distributed import all_reduce_sum_, world_size
from famus_ray.meta.arguments import check_head, check_logits, check_theta
from famus_ray.meta.last_layer import last_layer_loss
from famus_ray.meta.lookahead import Lookahead, MetaGradient, gradients, stepped
from famus_ray.meta.recorded import can_be_read
from famus_ray.meta.replay import ForwardRecord
from famus_ray.meta.tangent import (
    Recorded,
    TangentOfLogits,
    logits_difference,
    logits_tangent,
)
from famus_ray.phases import phase

__all__ = ["by_finite_difference", "by_jvp"]


def by_jvp(look: Lookahead, train_batch: Batch, meta_batch: Batch | None) -> MetaGradient:
    """The meta gradient by one Jacobian-vector product along d_l = -lr * r_l * u_l."""
    return _by_tangent(look, train_batch, meta_batch, logits_tangent)


def by_finite_difference(
    look: Lookahead, train_batch: Batch, meta_batch: Batch | None
) -> MetaGradient:
    """The meta gradient by a central difference of two forwards, as in DARTS and SAMA."""
    return _by_tangent(look, train_batch, meta_batch, logits_difference)


def _by_tangent(
    look: Lookahead, train_batch: Batch, meta_batch: Batch | None, tangent: TangentOfLogits
) -> MetaGradient:
    inputs, targets = train_batch
    gated = look.groups.gated_parameters
    buffers, version = look.buffers(), inputs._version
    record = ForwardRecord(look.model, gated)
    with phase("virtual/forward"), record.recording():
        logits_BC = look.model(inputs)
    check_logits(logits_BC)
    if inputs._version != version:
        raise ValueError(
            "the network changes its inputs in place: the same forward cannot be redone"
        )

    # Virtual-Train: dphi_BC keeps its graph to theta, on logits alone.
    z_BC = logits_BC.detach().requires_grad_()
    parameters = look.trainable()
    with phase("virtual/backward"), look.recomputing(buffers, record.seen):
        dphi_BC = _logits_gradient(look, z_BC, targets)
        train_grads = _train_gradients(look, logits_BC, dphi_BC.detach())
    gates_G = look.draw_gates(train_grads)

    # Meta-Train: the meta gradient at the virtual weights, down to the lowest gated layer.
    tail = {n: stepped(parameters[n], train_grads[n], look.lr).requires_grad_() for n in gated}
    trunk = {
        n: stepped(parameters[n], train_grads[n], look.lr) for n in train_grads if n not in tail
    }
    meta_loss, meta_grads = look.judged(
        {**trunk, **tail},
        tail,
        meta_batch or train_batch,
        look.again(record) if meta_batch is None else nullcontext(),
        record.seen,
        summed=True,
    )
    del trunk, tail
    gate_grads_G = torch.stack(
        [
            -look.lr * group_dot(group.parameters, meta_grads, train_grads)
            for group in look.groups.gated
        ]
    )

    direction, inner = _direction(look, gates_G.detach(), meta_grads, train_grads)
    inner = inner + torch.dot(gates_G.detach(), gate_grads_G)
    del train_grads, meta_grads
    forward = Recorded(look.model, inputs, buffers, record, logits_BC.detach(), dphi_BC.detach())
    with phase("tangent"):
        dz_BC = tangent(forward, direction, inner if world_size() == 1 else None)
    head_grads = _head_gradients(look.theta(), (dphi_BC * dz_BC).sum())
    if not getattr(look.head, "per_example", False):
        all_reduce_sum_(list(head_grads.values()))
    return MetaGradient(head_grads, gates_G, gate_grads_G, logits_BC, meta_loss)


def _logits_gradient(look: Lookahead, z_BC: Tensor, targets: Tensor) -> Tensor:
    """dL_train/dz (B, C), differentiable in theta."""
    own = look.trainable()
    grad, *others = torch.autograd.grad(
        look.train_loss(z_BC, targets), [z_BC, *own.values()], create_graph=True, allow_unused=True
    )
    check_head(own, others)
    return torch.zeros_like(z_BC) if grad is None else grad


def _head_gradients(theta: Mapping[str, Tensor], change: Tensor) -> dict[str, Tensor]:
    """d/dtheta of <grad_z L_train, dz>, the change of the train loss along the tangent."""
    if not theta:
        return {}
    grads = (
        torch.autograd.grad(change, list(theta.values()), allow_unused=True)
        if change.requires_grad
        else [None] * len(theta)
    )
    check_theta(grads)
    return {
        name: torch.zeros_like(parameter) if grad is None else grad
        for (name, parameter), grad in zip(theta.items(), grads, strict=True)
    }


def _train_gradients(look: Lookahead, logits_BC: Tensor, dphi_BC: Tensor) -> dict[str, Tensor]:
    """g of Eq. 3 for the global batch, by parameter; zeros without a backward for a head that
    vanishes."""
    parameters = look.trainable()
    moved = {name: parameters[name] for name in look.moved()}
    if getattr(look.head, "vanishes", False):
        return {name: torch.zeros_like(p) for name, p in moved.items()}
    return gradients(logits_BC, moved, dphi_BC, summed=True)


def _direction(
    look: Lookahead,
    gates_G: Tensor,
    meta_grads: Mapping[str, Tensor],
    train_grads: Mapping[str, Tensor],
) -> tuple[dict[str, Tensor], Tensor]:
    """The direction d by parameter, and the inner product of its last-layer part with g.

    d is -lr * r_l * u_l where a gate is open, plus lambda2 * dL_g/dg at the last layer. On an
    accelerator a closed gate gives zeros: reading it, to leave the group out, would wait.
    """
    can_read = can_be_read(gates_G)
    direction = {
        name: -look.lr * gate * meta_grads[name]
        for group, gate in zip(look.groups.gated, gates_G, strict=True)
        if not can_read or gate.item() != 0.0
        for name in group.parameters
    }
    inner = gates_G.new_zeros(())
    if look.last_layer_weight:
        last = {n: train_grads[n].detach().requires_grad_() for n in look.groups.last_layer}
        loss = look.last_layer_weight * last_layer_loss(last, meta_grads, look.match_spread)
        for name, grad in gradients(loss, last, None).items():
            direction[name] = direction[name] + grad if name in direction else grad
            inner = inner + _dot(grad, train_grads[name])
    return direction, inner


def group_dot(names: tuple[str, ...], a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> Tensor:
    return torch.stack([_dot(a[n], b[n]) for n in names]).sum()


def _dot(a: Tensor, b: Tensor) -> Tensor:
    if a.dim() == 4 and a.is_contiguous(memory_format=torch.channels_last):
        a, b = a.permute(0, 2, 3, 1), b.permute(0, 2, 3, 1)  # the order in memory: no copy
    return torch.dot(a.reshape(-1), b.reshape(-1))
