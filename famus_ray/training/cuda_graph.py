"""A training step as a CUDA graph: one replay instead of thousands of launches from Python."""

from __future__ import annotations

import sys
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from famus_ray.batch import Batch
from famus_ray.errors import first_line
from famus_ray.meta.step import TrainStep
from famus_ray.phases import observed

__all__ = ["GraphedStep"]

_WARM_UP = 3


class GraphedStep:
    """The steps of one epoch: the first ones run as they are, then one is captured and replayed.

    Constants of an epoch, such as the learning rate, are captured with the step. A batch of
    another shape runs without the graph. If the step cannot be captured, every batch does, with
    one message per epoch on standard error. Call `close` before saving the state of the step.

    Args:
        step: one whose computation is the same in every call.
        gate_noise: the generator that it draws from, on the GPU.
    """

    def __init__(self, step: TrainStep, gate_noise: torch.Generator) -> None:
        self.step = step
        self._head_optimiser = getattr(getattr(step, "step", step), "head_optimiser", None)
        _set_capturable(self._head_optimiser, True, gate_noise.device)
        self._gate_noise = gate_noise
        self._to_warm_up = _WARM_UP
        self._is_refused = False
        self._graph: torch.cuda.CUDAGraph | None = None
        self._batches: tuple[Batch, Batch | None]
        self._measured: dict[str, Tensor] = {}

    def __call__(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, train: Batch, meta: Batch | None
    ) -> dict[str, Tensor]:
        """Calls the step; the next call overwrites the tensors of metrics that it returns."""
        if self._is_refused:
            return self.step(model, optimiser, train, meta)
        if self._to_warm_up:
            return self._warm_up(model, optimiser, train, meta)
        if self._graph is None:
            self._batches = _copy(train), None if meta is None else _copy(meta)
            self._capture(model, optimiser)
        pairs = list(zip(_tensors(*self._batches), _tensors(train, meta), strict=True))
        if self._graph is None or any(static.shape != new.shape for static, new in pairs):
            return self.step(model, optimiser, train, meta)
        for static, new in pairs:
            static.copy_(new)
        self._graph.replay()
        return self._measured

    def close(self) -> None:
        """Drops the graph; the step's state is again one that can be saved."""
        self._graph = None
        _set_capturable(self._head_optimiser, False, torch.device("cpu"))

    def _warm_up(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, train: Batch, meta: Batch | None
    ) -> dict[str, Tensor]:
        """One step on a side stream: a graph is captured on a side stream, too."""
        self._to_warm_up -= 1
        before = _rng_states()
        side, here = torch.cuda.Stream(), torch.cuda.current_stream()
        side.wait_stream(here)
        with torch.cuda.stream(side):
            measured = self.step(model, optimiser, train, meta)
        here.wait_stream(side)
        if not all(map(torch.equal, before, _rng_states())):
            self._refuse("the network draws random numbers, as dropout does")
        return measured

    def _capture(self, model: nn.Module, optimiser: torch.optim.Optimizer) -> None:
        """Captures the graph and computes nothing; the first replay takes this batch's step."""
        optimiser.zero_grad()  # so that gradients are allocated in the graph's memory
        graph = torch.cuda.CUDAGraph()
        graph.register_generator_state(self._gate_noise)
        try:
            with (
                observed(lambda name: nullcontext()),  # a replay would not run an observer's events
                torch.cuda.graph(graph, capture_error_mode="thread_local"),
            ):
                self._measured = self.step(model, optimiser, *self._batches)
        except RuntimeError as error:
            self._refuse(first_line(error))
        else:
            self._graph = graph

    def _refuse(self, why: str) -> None:
        self._is_refused = True
        print(f"no CUDA graph, steps are launched one by one: {why}", file=sys.stderr)


def _copy(batch: Batch) -> Batch:
    inputs, targets = batch
    return inputs.clone(), targets.clone()


def _tensors(train: Batch, meta: Batch | None) -> tuple[Tensor, ...]:
    return (*train, *(meta or ()))


def _set_capturable(
    optimiser: torch.optim.Optimizer | None, capturable: bool, device: torch.device
) -> None:
    """Moves Adam's step counts to `device`: a graph needs them on the GPU, a checkpoint has them
    on the CPU."""
    if not isinstance(optimiser, torch.optim.Adam):
        return
    for group in optimiser.param_groups:
        group["capturable"] = capturable
    for state in optimiser.state.values():
        state["step"] = state["step"].to(device)


def _rng_states() -> list[Any]:
    return [torch.get_rng_state(), torch.cuda.get_rng_state()]
