"""What one training step costs: every variant against plain SGD, in one run.

Times are measured alternately, so that a machine whose speed drifts drifts for all, and
medians are compared.
"""

from __future__ import annotations

import statistics
from collections.abc import Callable, Sequence
from dataclasses import dataclass

from famus_ray.bench.machine import device_name
from famus_ray.bench.memory import peak_bytes
from famus_ray.bench.runner import Runner, build_runners
from famus_ray.bench.variants import Setup, Variant
from famus_ray.training.allocator import keep_freed_memory

__all__ = ["BenchRow", "Say", "Timing", "bench_cases", "bench_setup", "time_alternately"]

Say = Callable[[str], None]

_WARM_UP = 2


@dataclass(frozen=True)
class Timing:
    """Median milliseconds of a step and of each of its phases; `other` is what is in none."""

    ms: float
    phases_ms: dict[str, float]


@dataclass(frozen=True)
class BenchRow:
    """One measured variant.

    Attributes:
        ms: median milliseconds a step; `phases_ms` is where they went.
        times_plain: time over that of the first variant, plain SGD.
        memory_mib: peak above the idle process, None where it was not measured;
            `memory_times_plain` is over the first variant's.
    """

    network: str
    batch: int
    pixels: int
    variant: str
    ms: float
    images_per_second: float
    times_plain: float
    memory_mib: float | None
    memory_times_plain: float | None
    phases_ms: dict[str, float]
    rounds: int
    device: str


def bench_setup(
    setup: Setup,
    variants: Sequence[Variant],
    rounds: int,
    say: Say = lambda message: None,
    memory: bool = True,
) -> list[BenchRow]:
    """A row a variant, in their order; the first is what the others are held against.

    Raises:
        UserError: an unknown network or setting, or too little memory.
    """
    return bench_cases([(setup, variants)], rounds, say, memory)


def bench_cases(
    cases: Sequence[tuple[Setup, Sequence[Variant]]],
    rounds: int,
    say: Say = lambda message: None,
    memory: bool = True,
) -> list[BenchRow]:
    """The same for several setups measured in one run, such as two precisions."""
    keep_freed_memory()
    runners = [runner for setup, variants in cases for runner in build_runners(setup, variants)]
    pairs = [(setup, variant) for setup, variants in cases for variant in variants]
    where = cases[0][0]
    timings = time_alternately(runners, rounds, lambda message: say(f"{where}: {message}"))
    del runners
    peaks: list[int | None] = [None] * len(pairs)
    for i, (setup, variant) in enumerate(pairs if memory else ()):
        say(f"{where}: peak memory {i + 1} of {len(pairs)}, {variant.name}")
        peaks[i] = peak_bytes(setup, variant)
    return [
        _row(setup, variant, rounds, timing, timings[0], peak, peaks[0])
        for (setup, variant), timing, peak in zip(pairs, timings, peaks, strict=True)
    ]


def time_alternately(runners: Sequence[Runner], rounds: int, say: Say) -> list[Timing]:
    """The timing of each runner, from `rounds` rounds in which each has its turn."""
    seconds: list[list[float]] = [[] for _ in runners]
    phases: list[list[dict[str, float]]] = [[] for _ in runners]
    for i in range(_WARM_UP + rounds):
        say(f"round {i + 1} of {_WARM_UP + rounds}")
        for runner, whole, parts in zip(runners, seconds, phases, strict=True):
            took, by_phase = runner.timed_round()
            if i >= _WARM_UP:
                whole.append(took)
                parts.append({**by_phase, "other": took - sum(by_phase.values())})
    return [_timing(whole, parts) for whole, parts in zip(seconds, phases, strict=True)]


def _timing(seconds: Sequence[float], phases: Sequence[dict[str, float]]) -> Timing:
    names = phases[-1]  # the first rounds of a CUDA graph have more
    by_phase = {name: statistics.median(p.get(name, 0.0) for p in phases) for name in names}
    return Timing(statistics.median(seconds) * 1000, {n: s * 1000 for n, s in by_phase.items()})


def _row(
    setup: Setup, variant: Variant, rounds: int, timing: Timing, plain: Timing,
    peak: int | None, plain_peak: int | None,
) -> BenchRow:  # fmt: skip
    return BenchRow(
        setup.network,
        setup.batch,
        setup.pixels,
        variant.name + setup.way,
        ms=round(timing.ms, 2),
        images_per_second=round(setup.batch / timing.ms * 1000, 1),
        times_plain=round(timing.ms / plain.ms, 3),
        memory_mib=round(peak / 2**20, 1) if peak else None,
        memory_times_plain=round(peak / plain_peak, 3) if peak and plain_peak else None,
        phases_ms={name: round(ms, 2) for name, ms in timing.phases_ms.items()},
        rounds=rounds,
        device=device_name(setup.device),
    )
