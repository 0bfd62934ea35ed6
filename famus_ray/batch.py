"""A batch, as the data give it and the engine takes it."""

from __future__ import annotations

from torch import Tensor

__all__ = ["Batch"]

Batch = tuple[Tensor, Tensor]
"""Inputs (B, ...) and targets: class indices (B,), or class probabilities (B, C)."""
