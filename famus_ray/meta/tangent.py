"""The tangent of the logits along a direction of the parameters: one Jacobian-vector product."""

# Shapes: B train examples, C classes.
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
    """A recorded forward, to be differentiated along a direction.

    Attributes:
        model: the network, in the mode of that forward.
        inputs: the batch.
        buffers: copies of the network's buffers from before the forward.
        record: outputs of its modules.
        logits_BC: its logits, detached.
        dphi_BC: gradient of the train loss with respect to the logits, detached.
    """

    model: nn.Module
    inputs: Tensor
    buffers: Mapping[str, Tensor]
    record: ForwardRecord
    logits_BC: Tensor
    dphi_BC: Tensor

    def again_with(self, tensors: Mapping[str, Tensor]) -> Tensor:
        """The logits (B, C) of another forward with `tensors` in place of some parameters; the
        other parameters are constants."""
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
    """dz (B, C): the derivative of the logits as the parameters move along `direction`.

    It covers batch normalisation in training mode, which couples the examples. The forward
    records no graph: parameters are detached. (`torch.no_grad()` would hide the network's own
    regions without gradients.)

    Three cases fall back to two reverse passes, exact but slower, with one warning that names
    the cause: an operator without a forward-mode formula, hooks on gradients, and a tangent that
    disagrees with the backward by more than the square root of the machine epsilon
    (`are_transposes`).

    Args:
        recorded: the forward.
        direction: tangents by parameter name; other parameters are constants.
        inner: train gradients times the direction, a scalar; None where it is not known.

    Raises:
        ValueError: the forward is not reproducible, or the fallback has no second backward.
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

    The forwards reuse outputs that no moved parameter reaches. Three cases fall back as in
    `logits_tangent`: the network makes constants, which would move; it has hooks on gradients,
    which would not run; or the difference disagrees with the backward by more than 1 %
    (`are_transposes`).

    Args:
        recorded, direction, inner: as in `logits_tangent`.
        step: length of the step along the unit direction; by default the cube root of the
            machine epsilon, where truncation and rounding balance.

    Raises:
        ValueError: the network computes in bfloat16 or float16, whose rounding is larger than
            the differences; or as in `logits_tangent`.
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
        with recorded.record.reusing():  # `moved` requires gradients to mark what must be computed
            return recorded.again_with(moved).detach()

    above_BC, below_BC = logits_at(1), logits_at(-1)
    _check_same((above_BC + below_BC) / 2, logits_BC)
    dz_BC: Tensor = (above_BC - below_BC) * (length / (2 * step))
    if are_transposes(recorded.dphi_BC, dz_BC, inner, 1e-2):
        return dz_BC
    return transposed(recorded, direction, "the network's gradients are not its differences")


def _check_same(again_BC: Tensor, logits_BC: Tensor) -> None:
    """Raises ValueError if the repeated forward has other logits; compares nothing on an
    accelerator, where reading them would wait."""
    if not can_be_read(again_BC):
        return
    bound = 1e-2 * logits_BC.abs().max().clamp_min(1e-6)
    if not (again_BC - logits_BC).abs().max() <= bound and logits_BC.isfinite().all():
        raise ValueError(OTHER_LOGITS)


def transposed(
    recorded: Recorded, direction: Mapping[str, Tensor], why: str, instead: str = ""
) -> Tensor:
    """J d (B, C) as the derivative of <J^T c, d> with respect to c, with one warning of the cause.

    J^T c is the backward of c, hooks included, and c is the gradient of the train loss. Where the
    backward is not linear in c, this still is the derivative in the definition.

    Args:
        recorded: the forward.
        direction: d, by parameter name.
        why: cause of the fallback, for the warning.
        instead: advice at the end of the error.

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
        # With gradient checkpointing the backward recomputes parts of the forward.
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
    """The operator named in torch's error, or the module whose autograd function failed."""
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
