"""The project's own measurements."""

from __future__ import annotations

from typing import Annotated

import typer

from famus_ray.cli.options import AsJson, group

__all__ = ["bench_app"]

bench_app = group("The project's own measurements.")


@bench_app.command("step")
def bench_step(
    batch: Annotated[list[int] | None, typer.Option(min=1, help="Batch sizes.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Measured rounds; medians are shown.")] = 5,
    network: Annotated[str, typer.Option(help="A network's name.")] = "preact_resnet18",
    as_json: AsJson = False,
) -> None:
    """Time and memory of one training step: every method and engine against plain SGD."""
    from famus_ray.bench.step import bench_steps
    from famus_ray.cli.output import say, show_bench

    show_bench(bench_steps(network, tuple(batch or (32, 64)), rounds, say), as_json)
