"""What one training step costs: every method and engine against plain SGD, in one run.

Times are measured alternately, so that a machine whose speed drifts drifts for all, and
medians are compared. Memory is the peak above an idle process, each variant in a process of its
own, because a process never gives back what another variant took.
"""

from __future__ import annotations

import json
import statistics
import subprocess
import sys
import time
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import torch

from famus_ray.config.resolve import resolve
from famus_ray.config.schema import Config
from famus_ray.errors import UserError
from famus_ray.memory import keep_freed_memory
from famus_ray.methods import build_step
from famus_ray.models.catalog import build_model

__all__ = ["VARIANTS", "BenchRow", "Variant", "bench_steps"]

_WARM_UP = 2
_PIXELS = 32


@dataclass(frozen=True)
class Variant:
    """A method with one engine and look-ahead scope; `ce` is plain SGD."""

    method: str
    engine: str
    scope: str

    def overrides(self) -> list[str]:
        settings = [f"method.name={self.method}"]
        if self.method != "ce":
            settings += [f"meta.engine={self.engine}", f"meta.scope={self.scope}"]
        return settings


VARIANTS = (
    Variant("ce", "none", "none"),
    Variant("mwnet", "jvp", "all"),
    Variant("mwnet", "double_backward", "all"),
    Variant("famus", "jvp", "all"),
    Variant("famus", "double_backward", "all"),
    Variant("famus", "jvp", "tail"),
    Variant("famus", "double_backward", "tail"),
)


@dataclass(frozen=True)
class BenchRow:
    """One measured variant: `ms` a step (median), and time and peak memory over plain SGD's."""

    network: str
    batch: int
    method: str
    engine: str
    scope: str
    ms: float
    times_plain: float
    memory_times_plain: float
    device: str


def bench_steps(
    network: str,
    batches: Sequence[int],
    rounds: int,
    say: Callable[[str], None] = lambda message: None,
    variants: Sequence[Variant] = VARIANTS,
) -> list[BenchRow]:
    """One row a batch size and variant; the first variant is what the others are held against.

    Raises:
        UserError: an unknown network.
    """
    keep_freed_memory()
    rows = []
    for batch in batches:
        say(f"{network}, batch {batch}: peak memory")
        peaks = [_peak_in_new_process(network, batch, variant) for variant in variants]
        steps = [_StepRunner(network, batch, variant) for variant in variants]
        seconds: list[list[float]] = [[] for _ in steps]
        for i in range(_WARM_UP + rounds):
            say(f"{network}, batch {batch}: round {i + 1} of {_WARM_UP + rounds}")
            for runner, measured in zip(steps, seconds, strict=True):
                measured.append(runner.timed())
        medians = [statistics.median(measured[_WARM_UP:]) for measured in seconds]
        for variant, peak, median in zip(variants, peaks, medians, strict=True):
            rows.append(
                BenchRow(
                    network, batch, variant.method, variant.engine, variant.scope,
                    ms=round(median * 1000, 2),
                    times_plain=round(median / medians[0], 3),
                    memory_times_plain=round(peak / peaks[0], 3),
                    device=_device_name(),
                )
            )  # fmt: skip
    return rows


class _StepRunner:
    """One variant on random images, ready to step."""

    def __init__(self, network: str, batch: int, variant: Variant) -> None:
        config = _config(network, batch, variant)
        self.device = torch.device("cuda" if torch.cuda.is_available() else "cpu")
        torch.manual_seed(0)
        self.model = build_model(config.model, 10, 3).to(self.device).train()
        self.optimiser = torch.optim.SGD(
            self.model.parameters(), lr=1e-3, momentum=0.9, weight_decay=5e-4
        )
        noise = torch.Generator(self.device).manual_seed(0)
        self.step = build_step(config, self.model, noise)
        self.train, self.meta = (
            (
                torch.randn(batch, 3, _PIXELS, _PIXELS, device=self.device),
                torch.randint(10, (batch,), device=self.device),
            )
            for _ in range(2)
        )

    def timed(self) -> float:
        """Seconds of one step."""
        self._wait()
        began = time.perf_counter()
        self.step(self.model, self.optimiser, self.train, self.meta)
        self._wait()
        return time.perf_counter() - began

    def _wait(self) -> None:
        if self.device.type == "cuda":
            torch.cuda.synchronize()


def _config(network: str, batch: int, variant: Variant) -> Config:
    settings = [f"model.name={network}", f"run.batch_size={batch}", *variant.overrides()]
    return resolve(None, settings).config


def _peak_in_new_process(network: str, batch: int, variant: Variant) -> float:
    arguments = [network, str(batch), variant.method, variant.engine, variant.scope]
    finished = subprocess.run(  # noqa: S603 - this interpreter, our own module
        [sys.executable, "-W", "ignore", "-m", "famus_ray.bench.step", *arguments],
        capture_output=True,
        text=True,
        check=False,
    )
    if finished.returncode:
        lines = finished.stderr.strip().splitlines() or ["killed, out of memory?"]
        raise UserError(f"{network}, batch {batch}: {lines[-1]}")
    peak: float = json.loads(finished.stdout)["peak_bytes"]
    return peak


def _peak(network: str, batch: int, variant: Variant, steps: int = 3) -> dict[str, Any]:
    """Peak bytes of a few steps above the process before the network was built."""
    on_gpu = torch.cuda.is_available()
    torch.randn(64, 64).mm(torch.randn(64, 64))  # the libraries' own buffers are not the step's
    idle = 0 if on_gpu else _resident_bytes("VmRSS")
    runner = _StepRunner(network, batch, variant)
    for _ in range(steps):
        runner.timed()
    if on_gpu:
        return {"peak_bytes": torch.cuda.max_memory_allocated()}
    return {"peak_bytes": _resident_bytes("VmHWM") - idle}


def _resident_bytes(field: str) -> int:
    """VmRSS, what is resident now, or VmHWM, its peak. (getrusage's maximum is no use: a
    process inherits it from the one that started it.)"""
    status = Path("/proc/self/status").read_text()
    line = next(row for row in status.splitlines() if row.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024


def _device_name() -> str:
    if torch.cuda.is_available():
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"


if __name__ == "__main__":
    name, size, method, engine, scope = sys.argv[1:]
    print(json.dumps(_peak(name, int(size), Variant(method, engine, scope))))
