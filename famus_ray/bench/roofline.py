"""A roofline model of each variant: counted work, least time (floor), measured time and their gap.

Every operator moves its operands and results through memory at least once, and computes at most
at the machine's peak; the longer of these two times is its floor. The floor of a step is the sum
over its operators, as they run one after the other.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass

from famus_ray.bench.machine import device_name, measured_machine
from famus_ray.bench.runner import build_runners
from famus_ray.bench.step import Say, time_alternately
from famus_ray.bench.variants import Setup, Variant
from famus_ray.bench.work import Work, counted_work
from famus_ray.training.allocator import keep_freed_memory

__all__ = ["RoofRow", "roofline"]


@dataclass(frozen=True)
class RoofRow:
    """The roofline of one variant.

    Attributes:
        network, batch, pixels, variant: what was measured.
        gflop: floating-point operations of a step, in 1e9, counted in convolutions, matrix
            products and attention, with tangents.
        flop_times_plain: `gflop` relative to the first variant.
        gbyte: bytes in 1e9 that its operators read and write, each run on its own.
        floor_ms: least time of the operators.
        ms: measured median time of a step.
        gap: `ms` / `floor_ms`.
        times_plain: `ms` relative to the first variant.
        phases_gflop: `gflop` by phase.
        peak_gflops: the machine's peak in 1e9 operations per second.
        peak_gbytes: the machine's peak in 1e9 bytes per second.
        device: the GPU, or the number of CPU threads.
    """

    network: str
    batch: int
    pixels: int
    variant: str
    gflop: float
    flop_times_plain: float
    gbyte: float
    floor_ms: float
    ms: float
    gap: float
    times_plain: float
    phases_gflop: dict[str, float]
    peak_gflops: float
    peak_gbytes: float
    device: str


def roofline(
    setup: Setup, variants: Sequence[Variant], rounds: int, say: Say = lambda message: None
) -> list[RoofRow]:
    """One row per variant, in their order.

    Args:
        setup: what is the same for all variants.
        variants: the first one is the reference.
        rounds: measured rounds.
        say: called with messages on the progress.

    Raises:
        UserError: an unknown network or setting.
    """
    keep_freed_memory()
    works = [_counted(setup, variant, say) for variant in variants]
    runners = build_runners(setup, variants)
    say(f"{setup}: the machine's peak")
    machine = measured_machine(setup)
    timings = time_alternately(runners, rounds, lambda message: say(f"{setup}: {message}"))
    rows = []
    plain_flops = 0.0
    for variant, work, runner, timing in zip(variants, works, runners, timings, strict=True):
        steps = runner.interval
        plain_flops = plain_flops or work.flops()
        floor_ms = work.floor_seconds(machine) / steps * 1000
        rows.append(
            RoofRow(
                setup.network,
                setup.batch,
                setup.pixels,
                variant.name,
                gflop=round(work.flops() / steps / 1e9, 2),
                flop_times_plain=round(work.flops() / steps / plain_flops, 3),
                gbyte=round(work.bytes() / steps / 1e9, 3),
                floor_ms=round(floor_ms, 2),
                ms=round(timing.ms, 2),
                gap=round(timing.ms / floor_ms, 2),
                times_plain=round(timing.ms / timings[0].ms, 3),
                phases_gflop={p: round(work.flops(p) / steps / 1e9, 3) for p in work.operators},
                peak_gflops=round(machine.flops / 1e9, 1),
                peak_gbytes=round(machine.bytes / 1e9, 2),
                device=device_name(setup.device),
            )
        )
    return rows


def _counted(setup: Setup, variant: Variant, say: Say) -> Work:
    """The work of the second round of a new runner, independent of other variants."""
    say(f"{setup}: counting {variant.name}")
    (runner,) = build_runners(setup, [variant])
    runner.round()  # allocates the optimisers' state
    return counted_work(runner)
