"""Whether a tangent is the transpose of the backward: two numbers that must be one.

With J the network's Jacobian, c the gradient of the train loss by the logits and d any direction
of the parameters, <c, J d> = <J^T c, d>. The left side is made of the tangent, the right side
of train gradients, which every step has anyway.
"""

# Shapes: B train examples, C classes.
from __future__ import annotations

from torch import Tensor

from famus_ray.meta.recorded import can_be_read

__all__ = ["are_transposes"]


def are_transposes(dphi_BC: Tensor, dz_BC: Tensor, inner: Tensor | None, error: float) -> bool:
    """Whether <dphi, dz> is `inner`; an accelerator is not asked.

    Args:
        dphi_BC: gradient of the train loss by the logits.
        dz_BC: tangent of the logits along the direction.
        inner: scalar, train gradients times the direction; None where it is not known.
        error: what it may be off, relative to the sum of the products without their signs, so
            that what cancels is no cause for alarm.
    """
    if inner is None or not can_be_read(dz_BC):
        return True
    products_BC = dphi_BC * dz_BC
    bound = error * products_BC.abs().sum()
    off = (products_BC.sum() - inner).abs()
    return bool(off <= bound) or not bool(off.isfinite())
