"""A context for evaluation mode."""

from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

from torch import nn

__all__ = ["eval_mode"]


@contextmanager
def eval_mode(model: nn.Module) -> Iterator[None]:
    """Inside, the network is in evaluation mode; afterwards its mode is as before."""
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)
