"""Observations of a network's forward that decide how an engine may repeat it."""

from __future__ import annotations

import sys
from typing import Any

import torch
from torch import Tensor, nn
from torch.nn.modules import module as all_modules
from torch.overrides import TorchFunctionMode
from torch.utils.checkpoint import CheckpointFunction

__all__ = ["ConstantsStayConstant", "Watch", "has_backward_hooks"]

_MAKE_CONSTANTS = frozenset(
    {
        Tensor.detach,
        Tensor.detach_,
        Tensor.data.__get__,  # type: ignore[attr-defined]
        Tensor.item,
        Tensor.tolist,
        Tensor.numpy,
        Tensor.__float__,
    }
)
_COARSE = (torch.bfloat16, torch.float16)
_top_saved_tensor_hooks = torch._C._autograd._top_saved_tensors_default_hooks


class Watch(TorchFunctionMode):
    """Watches the operators of the forwards that run inside it; reads no tensor's values.

    Attributes:
        makes_constants: a value was computed without gradients, detached or read as a number.
        adds_hooks: a hook was registered on a tensor's gradient.
        recomputes: activations for the backward are not kept, or kept elsewhere (checkpointing).
        is_coarse: a value was computed in bfloat16 or float16.
    """

    def __init__(self) -> None:
        super().__init__()
        self.makes_constants = self.adds_hooks = self.recomputes = self.is_coarse = False

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        if not torch.is_grad_enabled():
            _refuse_reentrant_checkpoint()
            self.makes_constants = True
        elif func in _MAKE_CONSTANTS:
            self.makes_constants = True
        elif func is Tensor.register_hook:
            self.adds_hooks = True
        if not self.recomputes and _top_saved_tensor_hooks(False) is not None:
            self.recomputes = True
        result = func(*args, **(kwargs or {}))
        if isinstance(result, Tensor) and result.dtype in _COARSE:
            self.is_coarse = True
        return result


class ConstantsStayConstant(TorchFunctionMode):
    """Inside, `torch.no_grad()` stops forward mode, too; torch itself lets tangents through."""

    def __torch_function__(
        self, func: Any, types: Any, args: Any = (), kwargs: dict[str, Any] | None = None
    ) -> Any:
        result = func(*args, **(kwargs or {}))
        if func is torch._C._set_grad_enabled:
            torch._C._set_fwd_grad_enabled(torch.is_grad_enabled())
        return result


def has_backward_hooks(model: nn.Module) -> bool:
    """Whether the network's modules or parameters have backward hooks, which forward mode skips."""
    return bool(
        all_modules._global_backward_hooks
        or all_modules._global_backward_pre_hooks
        or any(part._backward_hooks or part._backward_pre_hooks for part in model.modules())
        or any(parameter._backward_hooks for parameter in model.parameters())
    )


def _refuse_reentrant_checkpoint() -> None:
    """Raises ValueError inside a reentrant checkpoint: it supports only `loss.backward()`, and
    trains no part of the network whose inputs require no gradient."""
    code = CheckpointFunction.forward.__code__
    frame = sys._getframe(2)
    while frame is not None:
        if frame.f_code is code:
            raise ValueError(
                "the network uses reentrant gradient checkpointing, which allows no "
                "torch.autograd.grad; call torch.utils.checkpoint with use_reentrant=False"
            )
        frame = frame.f_back  # type: ignore[assignment]
