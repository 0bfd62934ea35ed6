"""A test that forward mode and backward use the same Jacobian.

With J the network's Jacobian, c the gradient of the train loss with respect to the logits and d
any direction of the parameters, <c, J d> = <J^T c, d>. The left side comes from the tangent, the
right side from train gradients, which every step computes anyway.
"""

# Shapes: B train examples, C classes.
from __future__ import annotations

from torch import Tensor

from famus_ray.meta.recorded import can_be_read

__all__ = ["are_transposes"]


def are_transposes(dphi_BC: Tensor, dz_BC: Tensor, inner: Tensor | None, error: float) -> bool:
    """Whether <dphi, dz> equals `inner` up to `error`.

    On an accelerator always True: reading the values would wait for the device.

    Args:
        dphi_BC: gradient of the train loss with respect to the logits.
        dz_BC: tangent of the logits along the direction.
        inner: scalar, train gradients times the direction; None where it is not known.
        error: allowed difference, relative to the sum of the products' absolute values: products
            that cancel raise no false alarm.
    """
    if inner is None or not can_be_read(dz_BC):
        return True
    products_BC = dphi_BC * dz_BC
    bound = error * products_BC.abs().sum()
    off = (products_BC.sum() - inner).abs()
    return bool(off <= bound) or not bool(off.isfinite())
