"""The step on a CUDA card against the published codes' step: python benchmarks/gpu_step.py.

In one run, alternately: the released steps in eager float32, as their users run them; ours in
float32; ours in bfloat16 autocast and channels_last; and those as one CUDA graph a step. First it
says how far the losses of a graph are from those of its step without.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, dataclass, replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from released import RELEASED
from torch import nn

from famus_ray.bench.runner import build_runners
from famus_ray.bench.step import bench_cases
from famus_ray.bench.variants import PLAIN, Setup, Variant, default_setups
from famus_ray.cli.bench_tables import show_bench
from famus_ray.cli.output import interruptible, say
from famus_ray.config.schema import Config
from famus_ray.errors import UserError
from famus_ray.files import write_json
from famus_ray.methods import build_step
from famus_ray.training.cuda_graph import GraphedStep

OURS = (
    PLAIN,
    Variant("mwnet"),
    Variant("famus"),
    Variant("famus meta.scope=tail"),
    Variant("famus meta.scope=tail meta.source=batch"),
)


@dataclass(frozen=True)
class Graphed:
    """Builds a method's step as a CUDA graph, from its name such as `famus meta.scope=tail`."""

    name: str

    def __call__(
        self, config: Config, model: nn.Module, classes: int, noise: torch.Generator
    ) -> GraphedStep:
        own = Variant(self.name).config(Setup(config.model.name, config.run.batch_size, 0))
        return GraphedStep(build_step(own, model, classes, noise), noise)


GRAPHED = tuple(Variant(f"{v.name}, graph", Graphed(v.name)) for v in OURS)


def graph_error(setup: Setup, plain: Variant, graph: Variant) -> float:
    """Largest relative difference of the losses of ten steps, captured and launched one by one."""
    losses = []
    for variant in (plain, graph):
        (runner,) = build_runners(setup, [variant])
        steps = [
            runner.step(runner.model, runner.optimiser, runner.train, runner.meta)[
                "train/loss"
            ].clone()
            for _ in range(10)
        ]
        losses.append(torch.stack(steps))
    return float(((losses[1] - losses[0]) / losses[0]).abs().max())


def main(
    network: Annotated[list[str] | None, typer.Option(help="A network's name.")] = None,
    batch: Annotated[list[int] | None, typer.Option(min=1, help="Batch sizes.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Measured rounds.")] = 30,
    memory: Annotated[bool, typer.Option(help="Peak memory, a process a variant.")] = True,
    to: Annotated[Path | None, typer.Option(help="JSON file for the rows.")] = None,
    as_json: Annotated[bool, typer.Option("--json", help="Print JSON.")] = False,
) -> None:
    """Time, memory, images a second of every step on this machine's first CUDA card."""
    if not torch.cuda.is_available():
        raise UserError("no GPU: torch sees no CUDA device; on a CPU run benchmarks/cpu_step.py")
    torch.backends.cudnn.benchmark = True
    rows = []
    with interruptible(
        f"{to} gets each network and batch when it is finished" if to else "--to FILE keeps them"
    ):
        for setup in default_setups(network or ["preact_resnet18"], batch or (), device="cuda"):
            for plain, graph in zip(OURS, GRAPHED, strict=True):
                error = graph_error(setup, plain, graph)
                say(f"{setup}: {graph.name}: {error:.1e} from its step, at most")
            fast = replace(setup, precision="bfloat16", channels_last=True)
            cases = [(setup, (*OURS, *RELEASED)), (fast, (*OURS, *GRAPHED))]
            rows += bench_cases(cases, rounds, say, memory)
            if to:
                write_json(to, {"rows": [asdict(row) for row in rows]})
    show_bench(rows, as_json)
    if not as_json:
        print(json.dumps({"torch": torch.__version__, "cuda": torch.version.cuda}))


if __name__ == "__main__":
    try:
        typer.run(main)
    except UserError as error:
        print(f"gpu_step: {error}", file=sys.stderr)
        sys.exit(2)
