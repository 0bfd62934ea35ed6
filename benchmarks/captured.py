"""A whole training step as one CUDA graph: no launches from Python, one replay a step."""

from __future__ import annotations

import sys
from collections.abc import Mapping
from dataclasses import dataclass
from typing import Any

import torch
from torch import Tensor, nn

from famus_ray.config.resolve import resolve
from famus_ray.config.schema import Config
from famus_ray.meta.step import TrainStep
from famus_ray.methods import build_step

__all__ = ["CaptureStep", "CapturedStep"]

Batch = tuple[Tensor, Tensor]
_WARM_UP = 3


@dataclass(frozen=True)
class CaptureStep:
    """Builds the captured step of a method with settings, `famus meta.scope=tail`."""

    name: str

    def __call__(
        self, config: Config, model: nn.Module, gate_noise: torch.Generator
    ) -> CapturedStep:
        method, *overrides = self.name.split()
        own = resolve(None, [f"method.name={method}", *overrides]).config
        return CapturedStep(build_step(own, model, gate_noise), gate_noise)


class CapturedStep:
    """A step that is captured at its first call; where that fails, it runs as it is, and says so.

    The same computation at every step is what can be captured: no meta interval.
    """

    def __init__(self, step: TrainStep, gate_noise: torch.Generator) -> None:
        self.step = step
        self.head = step.head
        self.needs_meta_batch = step.needs_meta_batch
        self.gate_noise = gate_noise
        self.graph: torch.cuda.CUDAGraph | None = None
        self._failed = False
        self._measured: dict[str, Tensor] = {}
        self._static: tuple[Tensor, ...] = ()

    def __call__(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, train: Batch, meta: Batch | None
    ) -> dict[str, Tensor]:
        given = (*train, *(meta or ()))
        if self.graph is None and not self._failed:
            self._static = tuple(tensor.clone() for tensor in given)
            self._capture(model, optimiser)
        if self.graph is None:
            return self.step(model, optimiser, train, meta)
        for static, tensor in zip(self._static, given, strict=True):
            static.copy_(tensor)
        self.graph.replay()
        return self._measured

    def _capture(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        train, meta = self._static[:2], self._static[2:] or None
        for used in (getattr(self.step, n, None) for n in ("head_optimiser", "gates_optimiser")):
            for group in used.param_groups if used is not None else ():
                if "capturable" in group:  # Adam keeps its step count on the GPU then
                    group["capturable"] = True
        side = torch.cuda.Stream()
        side.wait_stream(torch.cuda.current_stream())
        with torch.cuda.stream(side):
            for _ in range(_WARM_UP):
                self.step(model, optimiser, train, meta)
        torch.cuda.current_stream().wait_stream(side)
        optimiser.zero_grad(set_to_none=True)
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self.gate_noise)
        try:
            with torch.cuda.graph(graph):
                self._measured = self.step(model, optimiser, train, meta)
        except RuntimeError as error:
            self._failed = True
            print(f"not captured, runs eagerly: {str(error).splitlines()[0]}", file=sys.stderr)
        else:
            self.graph = graph

    def state_dict(self) -> dict[str, Any]:
        return self.step.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.step.load_state_dict(state)
