"""The tangent of the logits when the parameters move: one Jacobian-vector product."""

from __future__ import annotations

import re
import traceback
import warnings
from collections.abc import Callable, Mapping

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from famus_ray.errors import first_line
from famus_ray.meta.recorded import can_be_read
from famus_ray.meta.replay import OTHER_LOGITS, ForwardRecord
from famus_ray.meta.substitute import call_with

__all__ = ["TangentOfLogits", "logits_difference", "logits_tangent"]

TangentOfLogits = Callable[
    [nn.Module, Tensor, Mapping[str, Tensor], Mapping[str, Tensor], ForwardRecord, Tensor],
    Tensor,
]

# torch itself scripts some of its forward-mode formulas on first use.
warnings.filterwarnings("ignore", message=r"`torch\.jit\.script` is deprecated")


def logits_tangent(
    model: nn.Module,
    inputs: Tensor,
    direction: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
    record: ForwardRecord,
    logits_BC: Tensor,
) -> Tensor:
    """dz (B, C): the derivative of the logits as parameters move along `direction`.

    Train-mode batch normalisation included: its coupling of the examples is part of the
    network. An operator without a forward-mode formula makes the whole pass fall back to
    two reverse passes, exact and slower, with one warning that names it.

    Args:
        model: the network, in the mode of the recorded forward.
        inputs: the recorded batch.
        direction: tangents by parameter name; parameters left out stand still.
        buffers: copies of the network's buffers from before the recorded forward, which
            this pass may change.
        record: the recorded forward of this batch.
        logits_BC: what it gave.
    """
    if not direction:
        return torch.zeros_like(logits_BC)
    try:
        with torch.no_grad(), forward_ad.dual_level(), sdpa_kernel(SDPBackend.MATH):
            parameters = dict(model.named_parameters())
            duals = {n: forward_ad.make_dual(parameters[n], d) for n, d in direction.items()}
            with record.replaying():
                output = call_with(model, {**duals, **buffers}, inputs)
            primal, tangent = forward_ad.unpack_dual(output)
            _check_same(primal, logits_BC)
            return torch.zeros_like(output) if tangent is None else tangent
    except NotImplementedError as error:
        _warn_once(_operator(error))
        return _by_two_reverse_passes(model, inputs, direction, buffers, record)


def logits_difference(
    model: nn.Module,
    inputs: Tensor,
    direction: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
    record: ForwardRecord,
    logits_BC: Tensor,
    step: float | None = None,
) -> Tensor:
    """dz (B, C) as a central difference: two forwards, no forward mode, an error of step^2.

    The forwards reuse what no moved parameter reaches.

    Args:
        step: length of the step along the unit direction; the cube root of the machine
            epsilon when left out, where truncation and rounding balance. Others as in
            `logits_tangent`.
    """
    parameters = dict(model.named_parameters())
    if not direction:
        return torch.zeros_like(logits_BC)
    length = torch.stack([d.norm() for d in direction.values()]).norm()
    length = torch.where(length > 0, length, torch.ones_like(length))
    step = step or torch.finfo(logits_BC.dtype).eps ** (1 / 3)

    def logits_at(sign: int) -> Tensor:
        still = {name: parameter.detach() for name, parameter in parameters.items()}
        moved = {n: still[n] + sign * step / length * d for n, d in direction.items()}
        copies = {name: buffer.clone() for name, buffer in buffers.items()}
        given = {**still, **{n: x.requires_grad_() for n, x in moved.items()}, **copies}
        with torch.enable_grad(), record.reusing():  # it looks where gradients flow
            return call_with(model, given, inputs).detach()

    above_BC, below_BC = logits_at(1), logits_at(-1)
    _check_same((above_BC + below_BC) / 2, logits_BC)
    tangent: Tensor = (above_BC - below_BC) * (length / (2 * step))
    return tangent


def _check_same(again_BC: Tensor, logits_BC: Tensor) -> None:
    """On an accelerator nothing is compared."""
    if not can_be_read(again_BC):
        return
    bound = 1e-2 * logits_BC.abs().max().clamp_min(1e-6)
    if not (again_BC - logits_BC).abs().max() <= bound and logits_BC.isfinite().all():
        raise ValueError(OTHER_LOGITS)


def _by_two_reverse_passes(
    model: nn.Module,
    inputs: Tensor,
    direction: Mapping[str, Tensor],
    buffers: Mapping[str, Tensor],
    record: ForwardRecord,
) -> Tensor:
    """J d as the derivative of <J^T c, d> by c: exact, for operators without forward mode."""
    parameters = dict(model.named_parameters())
    moving = {n: parameters[n].detach().requires_grad_() for n in direction}
    with record.same_numbers(), sdpa_kernel(SDPBackend.MATH):
        output = call_with(model, {**moving, **buffers}, inputs)
    cotangent = torch.zeros_like(output, requires_grad=True)
    try:
        pulled = torch.autograd.grad(
            output, list(moving.values()), cotangent, create_graph=True, materialize_grads=True
        )
        pairs = zip(pulled, direction.values(), strict=True)
        inner = torch.stack([(p * d).sum() for p, d in pairs]).sum()
        (tangent,) = torch.autograd.grad(inner, cotangent, materialize_grads=True)
    except RuntimeError as error:
        raise ValueError(
            f"the network has neither a forward-mode formula nor a second derivative "
            f"({first_line(error)}); try engine='finite_difference'"
        ) from error
    return tangent


_warned: set[str] = set()


def _operator(error: NotImplementedError) -> str:
    """The operator that torch names, or the module whose own autograd function it was."""
    named = re.search(r"forward AD with (\S+)", str(error))
    if named:
        return named.group(1)
    callers = (frame.f_locals.get("self") for frame, _ in traceback.walk_tb(error.__traceback__))
    modules = [type(caller).__name__ for caller in callers if isinstance(caller, nn.Module)]
    return f"the autograd function in {modules[-1]}" if modules else type(error).__name__


def _warn_once(name: str) -> None:
    if name not in _warned:
        _warned.add(name)
        warnings.warn(
            f"{name} has no forward-mode formula: the meta gradient falls back to two "
            "reverse passes, exact but slower",
            stacklevel=3,
        )
