"""The measured peak performance of the machine."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass

import torch
import torch.nn.functional as F

from famus_ray.bench.variants import Setup

__all__ = ["Machine", "device_name", "measured_machine"]

_REPEATS = 8


@dataclass(frozen=True)
class Machine:
    """Peak floating-point operations and peak bytes moved, per second."""

    flops: float
    bytes: float


def device_name(device: str) -> str:
    """The name of the GPU, or the number of CPU threads in use."""
    if device == "cuda":
        return torch.cuda.get_device_name()
    return f"CPU, {torch.get_num_threads()} threads"


def measured_machine(setup: Setup) -> Machine:
    """The machine's peaks, measured.

    The faster of a large matrix product and a large convolution gives the operations, a copy of
    256 MiB the bytes.
    """
    dtype = getattr(torch, setup.precision)
    n, c, size = (8192, 256, 64) if setup.device == "cuda" else (2048, 128, 32)
    a, b = (torch.randn(n, n, device=setup.device, dtype=dtype) for _ in range(2))
    x = torch.randn(32, c, size, size, device=setup.device, dtype=dtype)
    weight = torch.randn(c, c, 3, 3, device=setup.device, dtype=dtype)
    if setup.channels_last:
        x, weight = (t.contiguous(memory_format=torch.channels_last) for t in (x, weight))
    source = torch.ones(2**26, device=setup.device)
    target = torch.empty_like(source)
    with torch.no_grad():
        product = 2 * n**3 / _fastest(lambda: a @ b)
        convolution = 2 * 9 * c * x.numel() / _fastest(lambda: F.conv2d(x, weight, padding=1))
    copy = 2 * source.nbytes / _fastest(lambda: target.copy_(source))
    return Machine(max(product, convolution), copy)


def _fastest(work: Callable[[], object]) -> float:
    """Seconds of the fastest of a few calls."""
    times = []
    for _ in range(_REPEATS):
        began = time.perf_counter()
        work()
        if torch.cuda.is_available():
            torch.cuda.synchronize()
        times.append(time.perf_counter() - began)
    return min(times)
