"""Measured rows in a file, so that an interrupted measurement can be continued."""

from __future__ import annotations

import json
from collections.abc import Iterator, Sequence
from dataclasses import asdict
from pathlib import Path

from famus_ray.bench.machine import device_name
from famus_ray.bench.step import BenchRow, Say, bench_setup
from famus_ray.bench.variants import Setup, Variant
from famus_ray.errors import UserError, first_line
from famus_ray.files import write_json

__all__ = ["bench_and_save"]


def bench_and_save(
    setups: Sequence[Setup],
    variants: Sequence[Variant],
    rounds: int,
    path: Path | None,
    say: Say,
    memory: bool = True,
) -> Iterator[list[BenchRow]]:
    """Yields the rows of each setup; setups already in the file `path` are not measured again.

    Args:
        setups, variants: what to measure.
        rounds: measured rounds.
        path: a JSON file for the rows; None to save nothing.
        say: called with messages on the progress.
        memory: whether to measure peak memory as well.

    Raises:
        UserError: an unknown network or setting, or a file with other content, such as other
            variants or rounds of one of the setups.
    """
    kept = _read_rows(path) if path else []
    for setup in setups:
        if not _rows_of(kept, setup, variants, rounds) and any(_is_of(row, setup) for row in kept):
            raise UserError(
                f"--to {path}: holds {setup} with other variants or rounds; name another file"
            )
    for setup in setups:
        rows = _rows_of(kept, setup, variants, rounds)
        if rows:
            say(f"{setup}: already in {path}")
        else:
            rows = bench_setup(setup, variants, rounds, say, memory)
            kept += rows
            if path:
                write_json(path, {"rows": [asdict(row) for row in kept]})
        yield rows


def _read_rows(path: Path) -> list[BenchRow]:
    """The rows in a file; empty if there is no file.

    Raises:
        UserError: the file has other content.
    """
    if not path.is_file():
        return []
    try:
        return [BenchRow(**row) for row in json.loads(path.read_text(encoding="utf-8"))["rows"]]
    except (ValueError, TypeError, KeyError) as error:
        reason = first_line(error)
        raise UserError(f"--to {path}: not a file of `bench step` ({reason})") from error


def _rows_of(
    rows: Sequence[BenchRow], setup: Setup, variants: Sequence[Variant], rounds: int
) -> list[BenchRow]:
    """The rows of one setup on this machine, in the variants' order; empty if one is missing."""
    found = {row.variant: row for row in rows if _is_of(row, setup) and row.rounds == rounds}
    complete = all(variant.name in found for variant in variants)
    return [found[variant.name] for variant in variants] if complete else []


def _is_of(row: BenchRow, setup: Setup) -> bool:
    same = (row.network, row.batch, row.pixels) == (setup.network, setup.batch, setup.pixels)
    return same and row.device == device_name(setup.device)
