"""The type of a batch, shared by data and engine."""

# Shapes: B examples, C classes.
from __future__ import annotations

from torch import Tensor

__all__ = ["Batch"]

Batch = tuple[Tensor, Tensor]
"""Inputs (B, ...) and targets: class indices (B,), or class probabilities (B, C)."""
