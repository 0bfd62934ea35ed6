"""Output of the `bench` commands."""

from __future__ import annotations

import json
from collections.abc import Iterable, Sequence
from typing import TYPE_CHECKING, Any

from famus_ray.cli.output import print_table, say
from famus_ray.phases import PHASES

if TYPE_CHECKING:
    from famus_ray.bench.exchange import ExchangeRow
    from famus_ray.bench.roofline import RoofRow
    from famus_ray.bench.step import BenchRow

__all__ = ["show_bench", "show_exchange", "show_roofline"]

_CLEARLY_BELOW = 0.9  # caches make gaps a little smaller than 1


def show_bench(rows: Sequence[BenchRow], as_json: bool) -> None:
    """Prints time and memory of every variant, and its time by phase."""
    if as_json:
        print(json.dumps({"rows": [vars(row) for row in rows]}))
        return
    names = ("ms", "images/s", "x plain", "MiB", "memory x plain")
    cells = [
        [
            f"{row.ms:.1f}", f"{row.images_per_second:.1f}", f"{row.times_plain:.2f}",
            "" if row.memory_mib is None else f"{row.memory_mib:.0f}",
            "" if row.memory_times_plain is None else f"{row.memory_times_plain:.2f}",
        ]
        for row in rows
    ]  # fmt: skip
    _print_rows(rows, names, cells)
    used = [p for p in (*PHASES, "other") if any(p in row.phases_ms for row in rows)]
    print("\nms a step, by phase:")
    _print_rows(
        rows,
        used,
        [[f"{row.phases_ms[p]:.1f}" if p in row.phases_ms else "" for p in used] for row in rows],
    )
    print(f"medians of {rows[0].rounds} rounds on {rows[0].device}")


def show_roofline(rows: Sequence[RoofRow], as_json: bool) -> None:
    """Prints counted work, floor, measured time and gap; warns of a gap that is too small."""
    least = min(row.gap for row in rows)
    if least < _CLEARLY_BELOW:
        say(
            f"a gap of {least:.2f}: nothing is faster than its floor, so the peaks are too low; "
            "the machine is busy, measure again"
        )
    if as_json:
        print(json.dumps({"rows": [vars(row) for row in rows]}))
        return
    names = ("GFLOP", "x plain", "GB", "floor ms", "measured ms", "gap", "measured x plain")
    cells = [
        [
            f"{row.gflop:.1f}", f"{row.flop_times_plain:.2f}", f"{row.gbyte:.2f}",
            f"{row.floor_ms:.1f}", f"{row.ms:.1f}", f"{row.gap:.2f}", f"{row.times_plain:.2f}",
        ]
        for row in rows
    ]  # fmt: skip
    _print_rows(rows, names, cells)
    print(
        f"on {rows[0].device}: at most {rows[0].peak_gflops:.0f} GFLOP/s "
        f"and {rows[0].peak_gbytes:.1f} GB/s, measured"
    )


def show_exchange(rows: Sequence[ExchangeRow], as_json: bool) -> None:
    """Prints the communication of each process in a step."""
    if as_json:
        print(json.dumps({"rows": [vars(row) for row in rows]}))
        return
    print_table(
        ("variant", "MB a step", "x plain"),
        [[row.variant, f"{row.bytes / 1e6:.1f}", f"{row.times_plain:.2f}"] for row in rows],
    )
    first = rows[0]
    print(
        f"{first.network} ({first.parameter_bytes / 1e6:.1f} MB of parameters), "
        f"{first.workers} processes, each; counted"
    )


def _print_rows(
    rows: Sequence[BenchRow] | Sequence[RoofRow],
    names: Sequence[str],
    cells: Sequence[Sequence[str]],
) -> None:
    pairs: Iterable[tuple[Any, Sequence[str]]] = zip(rows, cells, strict=True)
    print_table(
        ("network", "batch", "variant", *names),
        [[row.network, str(row.batch), row.variant, *c] for row, c in pairs],
    )
