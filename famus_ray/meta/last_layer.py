"""L_g: the last layer's train gradient should match its meta gradient (Eq. 11)."""

# Shapes: a gradient of shape (R, ...) pools to (R,).
from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["last_layer_loss"]


def last_layer_loss(
    train_grads: Mapping[str, Tensor], meta_grads: Mapping[str, Tensor], match_spread: bool = False
) -> Tensor:
    """L_g = || pooled train gradient - pooled meta gradient ||^2 over the last layer, a scalar.

    Each tensor is pooled by its mean over all but its first dimension. With `match_spread`, as in
    the released code, it is pooled by mean and standard deviation, a bias counts as one row, and
    the squares are averaged over the rows. The meta gradient is a constant: no second derivative
    of the meta loss is taken.

    Args:
        train_grads: train gradient of each parameter of the last layer, by name.
        meta_grads: gradient of the meta loss of the same parameters, by name.
        match_spread: compare standard deviations as well as means.
    """
    losses = []
    for name, grad in train_grads.items():
        train, meta = _rows(grad, match_spread), _rows(meta_grads[name].detach(), match_spread)
        squares = (train.mean(dim=1) - meta.mean(dim=1)).square()
        if match_spread:
            squares = squares + (torch.std(train, dim=1) - torch.std(meta, dim=1)).square()
        losses.append(squares.mean() if match_spread else squares.sum())
    return torch.stack(losses).sum()


def _rows(grad: Tensor, vector_is_row: bool) -> Tensor:
    if grad.dim() < 2 and vector_is_row:
        return grad.reshape(1, -1)
    return grad.reshape(grad.shape[0] if grad.dim() else 1, -1)
