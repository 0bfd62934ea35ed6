"""The cost of one training step: every variant relative to plain SGD, measured in one run.

The variants take turns, so that a drift of the machine's speed affects all of them; medians are
compared.
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
    """Median milliseconds of a step and of each phase; `other` is the time outside of phases."""

    ms: float
    phases_ms: dict[str, float]


@dataclass(frozen=True)
class BenchRow:
    """The cost of one variant.

    Attributes:
        network, batch, pixels, variant: what was measured.
        ms: median milliseconds per step.
        images_per_second: `batch` / time.
        times_plain: `ms` relative to the first variant, plain SGD.
        memory_mib: peak memory above the idle process; None if it was not measured.
        memory_times_plain: `memory_mib` relative to the first variant.
        phases_ms: median milliseconds by phase.
        rounds: measured rounds.
        device: the GPU, or the number of CPU threads.
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
    """One row per variant, in their order.

    Args:
        setup: what is the same for all variants.
        variants: the first one is the reference.
        rounds: measured rounds.
        say: called with messages on the progress.
        memory: whether to measure peak memory as well.

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
    """The rows of several setups measured in one run, such as two precisions.

    The reference is the first variant of the first setup.
    """
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
    """The timing of each runner, from `rounds` rounds in which all take turns."""
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
