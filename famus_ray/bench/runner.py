"""Training steps on random images, with the time of the whole step and of each phase."""

# Shapes: B images.
from __future__ import annotations

import time
from collections.abc import Iterator, Sequence
from contextlib import contextmanager
from typing import Any

import torch
from torch import nn

from famus_ray.bench.variants import Setup, Variant
from famus_ray.errors import UserError, first_line
from famus_ray.models.catalog import build_model
from famus_ray.models.precision import in_bfloat16
from famus_ray.phases import observed

__all__ = ["Runner", "build_runners"]

_CLASSES = 10


class Runner:
    """One variant, ready to train; all variants share network and optimiser.

    Attributes:
        interval: steps of a round: with an update of the meta model in every k-th step, a round
            of k steps has one.
        train, meta: batches of random images (B, 3, pixels, pixels) and labels (B,).
    """

    def __init__(
        self, setup: Setup, variant: Variant, model: nn.Module, optimiser: torch.optim.Optimizer
    ) -> None:
        self.device = torch.device(setup.device)
        self.model = model
        self.optimiser = optimiser
        config = variant.config(setup)
        noise = torch.Generator(self.device).manual_seed(0)
        self.step = variant.build(config, model, _CLASSES, noise)
        self.interval = getattr(self.step, "interval", 1)
        self.train = self._images(setup, setup.batch)
        self.meta = self._images(setup, config.meta.batch_size or setup.batch)

    def round(self) -> None:
        """Takes `interval` steps."""
        for _ in range(self.interval):
            self.step(self.model, self.optimiser, self.train, self.meta)

    def timed_round(self) -> tuple[float, dict[str, float]]:
        """Takes a round; returns seconds per step, of the whole step and by phase."""
        clock = _PhaseClock(self.device)
        self._wait()
        began = time.perf_counter()
        with observed(clock):
            self.round()
        self._wait()
        seconds = time.perf_counter() - began
        phases = {name: s / self.interval for name, s in clock.seconds().items()}
        return seconds / self.interval, phases

    def _images(self, setup: Setup, count: int) -> tuple[torch.Tensor, torch.Tensor]:
        images = torch.randn(count, 3, setup.pixels, setup.pixels, device=self.device)
        if setup.channels_last:
            images = images.contiguous(memory_format=torch.channels_last)
        return images, torch.randint(_CLASSES, (count,), device=self.device)

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def build_runners(setup: Setup, variants: Sequence[Variant]) -> list[Runner]:
    """A runner for each variant; all share one network, as several large ones would not fit.

    Raises:
        UserError: an unknown network or setting, or images that the network does not take.
    """
    torch.manual_seed(0)
    model = build_model(variants[0].config(setup).model, _CLASSES, 3).to(setup.device).train()
    if setup.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if setup.precision == "bfloat16":
        model = in_bfloat16(model)
    _try(model, setup)
    optimiser = torch.optim.SGD(model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4)
    return [Runner(setup, variant, model, optimiser) for variant in variants]


@torch.no_grad()
def _try(model: nn.Module, setup: Setup) -> None:
    try:
        count = min(setup.batch, 2)  # batch normalisation needs more than one value per channel
        model(torch.zeros(count, 3, setup.pixels, setup.pixels, device=setup.device))
    except (RuntimeError, AssertionError, ValueError) as error:
        raise UserError(
            f"--batch {setup.batch} --pixels {setup.pixels}: {setup.network} cannot take them "
            f"({first_line(error)})"
        ) from error


class _PhaseClock:
    """An observer of phases that records their times; on a GPU with events, which do not wait."""

    def __init__(self, device: torch.device) -> None:
        self._on_gpu = device.type == "cuda"
        self._marks: list[tuple[str, Any, Any]] = []

    @contextmanager
    def __call__(self, name: str) -> Iterator[None]:
        began = self._mark()
        try:
            yield
        finally:
            self._marks.append((name, began, self._mark()))

    def seconds(self) -> dict[str, float]:
        """The total seconds of each phase; call it when the device is idle."""
        found: dict[str, float] = {}
        for name, began, ended in self._marks:
            took = began.elapsed_time(ended) / 1000 if self._on_gpu else ended - began
            found[name] = found.get(name, 0.0) + took
        return found

    def _mark(self) -> Any:
        if not self._on_gpu:
            return time.perf_counter()
        event = torch.cuda.Event(enable_timing=True)
        event.record()
        return event
