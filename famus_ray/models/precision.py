"""Mixed precision: the network's forward in bfloat16, everything else in float32."""

# Shapes: B examples, C classes.
from __future__ import annotations

from typing import Any

import torch
from torch import Tensor, nn

__all__ = ["in_bfloat16"]


def in_bfloat16(model: nn.Module) -> nn.Module:
    """The same network; its calls run under autocast to bfloat16 and return float32 logits (B, C).

    Parameters, gradients, loss heads and the meta model stay in float32. Every call has its own
    autocast region: a cached cast of a parameter would be stale after the parameter's update.
    """
    regions: list[torch.autocast] = []

    def enter(module: nn.Module, args: tuple[Any, ...]) -> None:
        regions.append(torch.autocast(next(module.parameters()).device.type, torch.bfloat16))
        regions[-1].__enter__()

    def leave(module: nn.Module, args: tuple[Any, ...], logits: Tensor | None) -> Tensor | None:
        regions.pop().__exit__(None, None, None)
        return None if logits is None else logits.float()

    model.register_forward_pre_hook(enter)
    model.register_forward_hook(leave, always_call=True)
    return model
