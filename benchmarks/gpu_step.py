"""The step on a CUDA card against the published codes' step: python benchmarks/gpu_step.py.

In one run, alternately: the released steps in eager float32, as their users run them; ours in
float32; ours in bfloat16 autocast and channels_last; and those as one CUDA graph a step.
"""

from __future__ import annotations

import json
import sys
from dataclasses import asdict, replace
from pathlib import Path
from typing import Annotated

import torch
import typer
from captured import CaptureStep
from released import RELEASED

from famus_ray.bench.step import bench_cases
from famus_ray.bench.variants import PLAIN, Variant, default_setups
from famus_ray.cli.bench_tables import show_bench
from famus_ray.cli.output import interruptible, say
from famus_ray.errors import UserError
from famus_ray.files import write_json

OURS = (
    PLAIN,
    Variant("mwnet"),
    Variant("famus"),
    Variant("famus meta.scope=tail"),
    Variant("famus meta.scope=tail meta.source=batch"),
)
CAPTURED = tuple(Variant(f"{v.name}, graph", CaptureStep(v.name)) for v in OURS)


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
        f"{to} holds what was measured" if to else "--to FILE keeps what is measured"
    ):
        for setup in default_setups(network or ["preact_resnet18"], batch or (), device="cuda"):
            fast = replace(setup, precision="bfloat16", channels_last=True)
            cases = [(setup, (*OURS, *RELEASED)), (fast, (*OURS, *CAPTURED))]
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
