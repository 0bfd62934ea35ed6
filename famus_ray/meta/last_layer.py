"""L_g: the last layer's train gradient should look like its meta gradient (Eq. 11)."""

from __future__ import annotations

from collections.abc import Mapping

import torch
from torch import Tensor

__all__ = ["last_layer_loss"]


def last_layer_loss(
    train_grads: Mapping[str, Tensor], meta_grads: Mapping[str, Tensor], match_spread: bool = False
) -> Tensor:
    """L_g = || pooled train gradient - pooled meta gradient ||^2 over the last layer, a scalar.

    Each tensor is pooled over all but its first dimension: by its mean, and with
    `match_spread` by its standard deviation, too (the released code). The meta gradient
    is a constant here: a second derivative of the meta loss is not taken.
    """
    total = next(iter(train_grads.values())).new_zeros(())
    for name, grad in train_grads.items():
        train, meta = _rows(grad), _rows(meta_grads[name].detach())
        total = total + (train.mean(dim=1) - meta.mean(dim=1)).square().sum()
        if match_spread and train.shape[1] > 1:
            spread = torch.std(train, dim=1) - torch.std(meta, dim=1)
            total = total + spread.square().sum()
    return total


def _rows(grad: Tensor) -> Tensor:
    return grad.reshape(grad.shape[0] if grad.dim() else 1, -1)
