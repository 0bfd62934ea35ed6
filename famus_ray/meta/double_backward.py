"""The definition of the meta gradient as an engine: slower, more memory; the tests' reference."""

# Shapes: B train examples, C classes, G gated layer groups.

from __future__ import annotations

from contextlib import AbstractContextManager, nullcontext

import torch
from torch import Tensor
from torch.nn.attention import SDPBackend, sdpa_kernel

from famus_ray.batch import Batch
from famus_ray.distributed import all_reduce_sum_, global_sum, world_size
from famus_ray.meta.arguments import check_logits
from famus_ray.meta.last_layer import last_layer_loss
from famus_ray.meta.lookahead import Lookahead, MetaGradient, gradients, stepped
from famus_ray.meta.replay import ForwardRecord
from famus_ray.meta.substitute import copies, replaced
from famus_ray.phases import phase

__all__ = ["by_double_backward"]


def by_double_backward(
    look: Lookahead, train_batch: Batch, meta_batch: Batch | None
) -> MetaGradient:
    """The meta gradient by differentiating through the virtual step, as Eq. 4 defines it."""
    inputs, targets = train_batch
    buffers = look.buffers()
    record = ForwardRecord(look.model, look.moved())
    with phase("virtual/forward"), _second_derivatives(), record.recording():
        logits_BC = look.model(inputs)
    check_logits(logits_BC)
    parameters = look.trainable()
    names = look.moved()
    with phase("virtual/backward"), look.recomputing(buffers, record.seen), _second_derivatives():
        train_loss = look.train_loss(logits_BC, targets)
        grads = torch.autograd.grad(
            train_loss, [parameters[n] for n in names], create_graph=True, materialize_grads=True
        )
    train_grads = {n: global_sum(g) for n, g in zip(names, grads, strict=True)}
    gates_G = look.draw_gates({n: g.detach() for n, g in train_grads.items()})

    # An open and a closed gate leave the same value. An open gate lets gradients through to
    # theta; the gate's own gradient is straight-through.
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
        moved[name] = stepped(parameters[name], value, look.lr)
    # By the chain rule, one backward after the other: with gradient checkpointing the first
    # recomputes parts of the forward at the moved parameters, the second at the network's own.
    leaves = {name: x.detach().requires_grad_() for name, x in moved.items()}
    meta_loss, meta_grads = look.judged(
        leaves,
        leaves,
        meta_batch or train_batch,
        record.same_numbers() if meta_batch is None else nullcontext(),
        record.seen,
        summed=False,
    )
    objective = torch.stack([(meta_grads[n] * moved[n]).sum() for n in names]).sum()
    if look.last_layer_weight:
        last = {n: train_grads[n] for n in look.groups.last_layer}
        judges = {n: meta_grads[n].clone() for n in last}
        all_reduce_sum_(list(judges.values()))
        mismatch = last_layer_loss(last, judges, look.match_spread)
        objective = objective + look.last_layer_weight * mismatch / world_size()
    theta: dict[str, Tensor] = dict(look.theta())
    with phase("meta/backward"), look.recomputing(buffers, record.seen), _second_derivatives():
        found = gradients(objective, {**theta, "": r_G}, None)
    gate_grads_G = found.pop("")
    shared = [] if getattr(look.head, "per_example", False) else list(found.values())
    all_reduce_sum_([*shared, gate_grads_G])
    if record.seen.recomputes:  # the caller's backward recomputes, outside `_second_derivatives`
        with replaced(look.model, copies(buffers)), record.same_numbers():
            logits_BC = look.model(inputs)
    return MetaGradient(found, gates_G, gate_grads_G, logits_BC, meta_loss)


def _second_derivatives() -> AbstractContextManager[None]:
    """Inside, attention uses the math kernel: the fused kernels have no second derivatives."""
    return sdpa_kernel(SDPBackend.MATH)
