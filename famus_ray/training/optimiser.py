"""The optimiser of the network: SGD with optional gradient clipping and accumulation."""

from __future__ import annotations

from collections.abc import Callable
from typing import Any

import torch
from torch import nn
from torch.nn.utils import clip_grad_norm_

from famus_ray.config.schema import OptimiserConfig

__all__ = ["Descent", "build_optimiser"]


class Descent(torch.optim.SGD):
    """SGD with gradient accumulation: it updates at every `accumulate`-th step, by the mean.

    The gradients summed so far are part of the state: a checkpoint may fall between two updates.

    Args:
        params: as for `torch.optim.SGD`.
        accumulate: steps per update, at least 1.
        clip_norm: largest norm of an update's gradient, over all parameters; None clips nothing.
        settings: other arguments of `torch.optim.SGD`.
    """

    def __init__(
        self, params: Any, *, accumulate: int = 1, clip_norm: float | None = None, **settings: Any
    ) -> None:
        super().__init__(params, **settings)
        self.accumulate = accumulate
        self.clip_norm = clip_norm
        self.param_groups[0].setdefault("gathered", 0)

    def step(self, closure: Callable[[], float] | None = None) -> Any:
        parameters = [p for g in self.param_groups for p in g["params"] if p.grad is not None]
        if self.accumulate > 1 and not self._gathered(parameters):
            return None
        if self.clip_norm is not None:
            clip_grad_norm_(parameters, self.clip_norm)
        return super().step(closure)

    def _gathered(self, parameters: list[torch.Tensor]) -> bool:
        """Adds the gradients to the sum; at the last step their mean replaces them. True then."""
        first = self.param_groups[0]
        first["gathered"] = (first["gathered"] + 1) % self.accumulate
        for parameter in parameters:
            state = self.state[parameter]
            total = state.setdefault("gradient_sum", torch.zeros_like(parameter))
            total.add_(parameter.grad)
            if first["gathered"] == 0:
                parameter.grad = state.pop("gradient_sum") / self.accumulate
        return bool(first["gathered"] == 0)


def build_optimiser(model: nn.Module, config: OptimiserConfig) -> Descent:
    """The optimiser of a network's parameters; fused on a GPU."""
    return Descent(
        model.parameters(),
        accumulate=config.accumulate,
        clip_norm=config.clip_norm,
        lr=config.lr,
        momentum=config.momentum,
        weight_decay=config.weight_decay,
        nesterov=config.nesterov,
        fused=True if next(model.parameters()).is_cuda else None,
    )
