"""The step against the published codes' step, in one run: python benchmarks/cpu_step.py."""

from __future__ import annotations

import sys
from pathlib import Path
from typing import Annotated

import typer
from released import RELEASED

from famus_ray.bench.saved import bench_and_save
from famus_ray.bench.variants import PLAIN, Variant, default_setups
from famus_ray.cli.bench_tables import show_bench
from famus_ray.cli.output import interruptible, say
from famus_ray.errors import UserError

VARIANTS = (
    PLAIN,
    *RELEASED,
    Variant("mwnet"),
    Variant("famus"),
    Variant("famus meta.fidelity=released meta.grouping=tensor meta.lambda2=0.1"),
    Variant("famus meta.scope=tail"),
    Variant("famus meta.scope=tail meta.source=batch"),
    Variant("famus meta.scope=tail meta.interval=5"),
)


def main(
    network: Annotated[list[str] | None, typer.Option(help="A network's name.")] = None,
    batch: Annotated[list[int] | None, typer.Option(min=1, help="Batch sizes.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Measured rounds.")] = 5,
    memory: Annotated[bool, typer.Option(help="Peak memory, a process a variant.")] = True,
    to: Annotated[Path | None, typer.Option(help="JSON file to keep, and to go on with.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time, memory and phases of famus_ray's steps and of the released ones, on the CPU."""
    setups = default_setups(network or ["preact_resnet18"], batch or (), device="cpu")
    rows = []
    with interruptible("--to FILE keeps each network and batch that is finished"):
        for found in bench_and_save(setups, VARIANTS, rounds, to, say, memory):
            rows += found
    show_bench(rows, as_json)


if __name__ == "__main__":
    try:
        typer.run(main)
    except UserError as error:
        print(f"cpu_step: {error}", file=sys.stderr)
        sys.exit(2)
