"""The project's own measurements."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from famus_ray.cli.options import AsJson, group

__all__ = ["bench_app"]

bench_app = group("The project's own measurements, as ratios to plain SGD in the same run.")

Networks = Annotated[
    list[str] | None, typer.Option("--network", help="A network's name; give it again for more.")
]
Batches = Annotated[
    list[int] | None, typer.Option("--batch", min=1, help="Batch sizes; the network's recipe's.")
]
Pixels = Annotated[
    int | None, typer.Option(min=1, help="Height and width of the images; the recipe's.")
]
Methods = Annotated[
    list[str] | None, typer.Option("--methods", help="Only these methods' usual variants.")
]
Variants = Annotated[
    list[str] | None,
    typer.Option("--variant", help='A method with settings of it, such as "famus meta.k=2".'),
]
Rounds = Annotated[int, typer.Option(min=1, help="Measured rounds; medians are shown.")]


@bench_app.command("step")
def bench_step(
    network: Networks = None,
    batch: Batches = None,
    pixels: Pixels = None,
    methods: Methods = None,
    variant: Variants = None,
    rounds: Rounds = 5,
    memory: Annotated[bool, typer.Option(help="Peak memory, a process a variant.")] = True,
    to: Annotated[
        Path | None, typer.Option(help="JSON file that keeps each network and batch once finished.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Time, memory and phases of one training step of each method and engine."""
    from famus_ray.bench.saved import bench_and_save
    from famus_ray.bench.variants import default_setups, variants_of
    from famus_ray.cli.bench_tables import show_bench
    from famus_ray.cli.output import interruptible, say

    setups = default_setups(network or ["preact_resnet18"], batch or (), pixels)
    variants = variants_of(methods or (), variant or ())
    rows = []
    kept = (
        f"{to} gets the rows of a network and batch when all of them are measured; "
        "the same command goes on after those"
        if to
        else "--to FILE would keep each network and batch that is finished"
    )
    with interruptible(kept):
        try:
            for found in bench_and_save(setups, variants, rounds, to, say, memory):
                rows += found
        finally:
            if rows:
                show_bench(rows, as_json)


@bench_app.command("roofline")
def bench_roofline(
    network: Networks = None,
    batch: Batches = None,
    pixels: Pixels = None,
    methods: Methods = None,
    variant: Variants = None,
    rounds: Rounds = 5,
    as_json: AsJson = False,
) -> None:
    """Counted work of each variant, the least time that it could take, and the gap."""
    from famus_ray.bench.roofline import roofline
    from famus_ray.bench.variants import default_setups, variants_of
    from famus_ray.cli.bench_tables import show_roofline
    from famus_ray.cli.output import interruptible, say

    setups = default_setups(network or ["preact_resnet18"], batch or (), pixels)
    variants = variants_of(methods or (), variant or ())
    rows = []
    with interruptible("nothing was kept"):
        for setup in setups:
            rows += roofline(setup, variants, rounds, say)
    show_roofline(rows, as_json)


@bench_app.command("exchange")
def bench_exchange(
    network: Annotated[str, typer.Option(help="A network's name.")] = "preact_resnet18",
    batch: Annotated[int, typer.Option(min=1, help="Examples, of all processes together.")] = 16,
    workers: Annotated[int, typer.Option(min=2, help="Processes, started here.")] = 2,
    variant: Variants = None,
    as_json: AsJson = False,
) -> None:
    """Bytes that data-parallel processes send each other in one step of each method."""
    from famus_ray.bench.exchange import EXCHANGES
    from famus_ray.bench.exchange import bench_exchange as measure
    from famus_ray.bench.variants import default_setups, variants_of
    from famus_ray.cli.bench_tables import show_exchange

    (setup,) = default_setups([network], [batch], device="cpu")
    variants = variants_of((), variant) if variant else EXCHANGES
    show_exchange(measure(setup, variants, workers), as_json)
