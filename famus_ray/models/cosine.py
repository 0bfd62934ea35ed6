"""A classifier by cosine similarity, on which LDAM's margins are defined."""

# Shapes: B examples, D features, C classes.
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["CosineClassifier"]


class CosineClassifier(nn.Module):
    """Logits (B, C) = scale * cos(features, class weights), in [-scale, scale] (Cao et al. 2019).

    Args:
        features: D.
        classes: C.
        scale: above 0.
    """

    def __init__(self, features: int, classes: int, scale: float) -> None:
        super().__init__()
        self.weight = nn.Parameter(F.normalize(torch.empty(classes, features).uniform_(-1, 1)))
        self.scale = scale

    def forward(self, features_BD: Tensor) -> Tensor:
        cosines_BC = F.linear(F.normalize(features_BD, dim=1), F.normalize(self.weight, dim=1))
        return self.scale * cosines_BC
