"""The tangent of the logits when the parameters move: one Jacobian-vector product."""

from __future__ import annotations

import re
import traceback
import warnings
from collections.abc import Callable, Mapping
from dataclasses import dataclass

import torch
import torch.autograd.forward_ad as forward_ad
from torch import Tensor, nn
from torch.nn.attention import SDPBackend, sdpa_kernel

from famus_ray.errors import first_line
from famus_ray.meta.consistency import are_transposes
from famus_ray.meta.recorded import can_be_read
from famus_ray.meta.replay import OTHER_LOGITS, ForwardRecord
from famus_ray.meta.substitute import copies, replaced
from famus_ray.meta.watch import has_backward_hooks

__all__ = ["Recorded", "TangentOfLogits", "logits_difference", "logits_tangent"]


@dataclass(frozen=True)
class Recorded:
    """The forward whose tangent is wanted.

    Attributes:
        model: the network, in the mode of that forward.
        inputs: the batch.
        buffers: copies of the network's buffers from before it.
        record: its record.
        logits_BC: what it gave, detached.
        dphi_BC: the gradient of the train loss by the logits, detached.
    """

    model: nn.Module
    inputs: Tensor
    buffers: Mapping[str, Tensor]
    record: ForwardRecord
    logits_BC: Tensor
    dphi_BC: Tensor

    def again_with(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """The logits of another forward with some parameters exchanged; the rest stand still."""
        still = {name: p.detach() for name, p in self.model.named_parameters()}
        with replaced(self.model, {**still, **tensors, **copies(self.buffers)}):
            logits_BC: Tensor = self.model(self.inputs.detach())
        return logits_BC


TangentOfLogits = Callable[[Recorded, Mapping[str, Tensor], Tensor | None], Tensor]

# torch itself scripts some of its forward-mode formulas on first use.
warnings.filterwarnings("ignore", message=r"`torch\.jit\.script` is deprecated")


def logits_tangent(
    recorded: Recorded, direction: Mapping[str, Tensor], inner: Tensor | None = None
) -> Tensor:
    """dz (B, C): the derivative of the logits as parameters move along `direction`.

    Train-mode batch normalisation included: its coupling of the examples is part of the
    network. Without gradients nothing is recorded for a backward: parameters stand still, not
    in `torch.no_grad()`, so that regions of the network's own are told apart. An operator
    without a forward-mode formula, hooks on gradients, and a tangent that is not the transpose
    of the backward to the square root of the machine epsilon, make the whole pass fall back to
    two reverse passes, exact and slower, with one warning that names the cause.

    Args:
        direction: tangents by parameter name; parameters left out stand still.
        inner: the train gradients times the direction, a scalar, where they are known.
    """
    if not direction:
        return torch.zeros_like(recorded.logits_BC)
    if recorded.record.seen.adds_hooks or has_backward_hooks(recorded.model):
        return transposed(recorded, direction, "forward mode passes by the hooks on gradients")
    try:
        with forward_ad.dual_level(), sdpa_kernel(SDPBackend.MATH):
            parameters = dict(recorded.model.named_parameters())
            duals = {
                n: forward_ad.make_dual(parameters[n].detach(), d) for n, d in direction.items()
            }
            with recorded.record.replaying():
                output = recorded.again_with(duals)
            primal, tangent = forward_ad.unpack_dual(output)
            _check_same(primal, recorded.logits_BC)
            dz_BC = torch.zeros_like(output) if tangent is None else tangent
    except NotImplementedError as error:
        why = f"{_operator(error)} has no forward-mode formula"
        return transposed(recorded, direction, why, "; try engine='finite_difference'")
    eps = torch.finfo(torch.bfloat16 if recorded.record.seen.is_coarse else dz_BC.dtype).eps
    if are_transposes(recorded.dphi_BC, dz_BC, inner, eps**0.5):
        return dz_BC
    return transposed(recorded, direction, "the network's gradients are not its forward mode's")


def logits_difference(
    recorded: Recorded,
    direction: Mapping[str, Tensor],
    inner: Tensor | None = None,
    step: float | None = None,
) -> Tensor:
    """dz (B, C) as a central difference: two forwards, no forward mode, an error of step^2.

    The forwards reuse what no moved parameter reaches. Constants that the network makes would
    move, and hooks on gradients would not be met: both make it fall back as in `logits_tangent`,
    and so does a difference that is not the transpose of the backward to a hundredth.

    Args:
        direction, inner: as in `logits_tangent`.
        step: length of the step along the unit direction; the cube root of the machine
            epsilon when left out, where truncation and rounding balance.

    Raises:
        ValueError: the network computes in bfloat16 or float16, where differences drown.
    """
    seen, logits_BC = recorded.record.seen, recorded.logits_BC
    if seen.is_coarse:
        raise ValueError(
            "engine = 'finite_difference': the network computes in half precision, whose rounding "
            "is larger than such differences; use engine='jvp', or float32"
        )
    if not direction:
        return torch.zeros_like(logits_BC)
    if seen.makes_constants or seen.adds_hooks or has_backward_hooks(recorded.model):
        return transposed(
            recorded,
            direction,
            "the network detaches, computes without gradients or has hooks on them, which finite "
            "differences do not see",
        )
    parameters = dict(recorded.model.named_parameters())
    length = torch.stack([d.norm() for d in direction.values()]).norm()
    length = torch.where(length > 0, length, torch.ones_like(length))
    step = step or torch.finfo(logits_BC.dtype).eps ** (1 / 3)

    def logits_at(sign: int) -> Tensor:
        moved = {
            n: (parameters[n].detach() + sign * step / length * d).requires_grad_()
            for n, d in direction.items()
        }
        with recorded.record.reusing():  # it looks where gradients flow
            return recorded.again_with(moved).detach()

    above_BC, below_BC = logits_at(1), logits_at(-1)
    _check_same((above_BC + below_BC) / 2, logits_BC)
    dz_BC: Tensor = (above_BC - below_BC) * (length / (2 * step))
    if are_transposes(recorded.dphi_BC, dz_BC, inner, 1e-2):
        return dz_BC
    return transposed(recorded, direction, "the network's gradients are not its differences")


def _check_same(again_BC: Tensor, logits_BC: Tensor) -> None:
    """On an accelerator nothing is compared."""
    if not can_be_read(again_BC):
        return
    bound = 1e-2 * logits_BC.abs().max().clamp_min(1e-6)
    if not (again_BC - logits_BC).abs().max() <= bound and logits_BC.isfinite().all():
        raise ValueError(OTHER_LOGITS)


def transposed(
    recorded: Recorded, direction: Mapping[str, Tensor], why: str, instead: str = ""
) -> Tensor:
    """J d as the derivative of <J^T c, d> by c, with one warning that says why.

    J^T c is what the backward makes of c, hooks included, and c is the gradient of the train
    loss: where the backward is not linear in c, this is what the definition differentiates.

    Raises:
        ValueError: the backward has no derivative.
    """
    _warn_once(why)
    model = recorded.model
    parameters = dict(model.named_parameters())  # the network's own, with the hooks on them
    buffers = copies(recorded.buffers)
    with replaced(model, buffers), recorded.record.same_numbers(), sdpa_kernel(SDPBackend.MATH):
        output = model(recorded.inputs)
    cotangent = recorded.dphi_BC.clone().requires_grad_()
    try:
        # Parts of the forward may be computed again in here.
        with replaced(model, copies(recorded.buffers)), sdpa_kernel(SDPBackend.MATH):
            pulled = torch.autograd.grad(
                output,
                [parameters[n] for n in direction],
                cotangent,
                create_graph=True,
                materialize_grads=True,
            )
            pairs = zip(pulled, direction.values(), strict=True)
            inner = torch.stack([(p * d).sum() for p, d in pairs]).sum()
            (tangent,) = torch.autograd.grad(inner, cotangent, materialize_grads=True)
    except RuntimeError as error:
        raise ValueError(
            f"{why}, and a second backward is not possible ({first_line(error)}){instead}"
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


def _warn_once(why: str) -> None:
    if why not in _warned:
        _warned.add(why)
        warnings.warn(
            f"{why}: the meta gradient falls back to two reverse passes, exact but slower",
            stacklevel=3,
        )
