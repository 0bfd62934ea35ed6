"""Communication of data-parallel processes in one step, relative to plain data parallel."""

from __future__ import annotations

import tempfile
from collections.abc import Sequence
from dataclasses import dataclass, replace
from pathlib import Path

import torch
import torch.distributed as dist
from torch.multiprocessing.spawn import spawn

from famus_ray.bench.runner import build_runners
from famus_ray.bench.variants import PLAIN, Setup, Variant
from famus_ray.distributed import bytes_exchanged, meet_on_this_machine

__all__ = ["EXCHANGES", "ExchangeRow", "bench_exchange"]

EXCHANGES = (
    PLAIN,
    *(
        Variant(f"{method} meta.parallel={parallel}")
        for method in ("l2rw", "mlc", "mwnet", "famus", "famus meta.scope=tail")
        for parallel in ("exact", "local")
    ),
)


@dataclass(frozen=True)
class ExchangeRow:
    """The communication of one variant.

    Attributes:
        network: its name.
        batch: size of the global batch.
        workers: number of processes.
        variant: its name.
        bytes: that each process puts into sums over processes in a step.
        times_plain: `bytes` relative to the first variant, plain data parallel.
        parameter_bytes: size of the network's parameters, which plain data parallel must send.
    """

    network: str
    batch: int
    workers: int
    variant: str
    bytes: int
    times_plain: float
    parameter_bytes: int


def bench_exchange(setup: Setup, variants: Sequence[Variant], workers: int) -> list[ExchangeRow]:
    """The communication of each variant, counted in real processes connected by gloo.

    Args:
        setup: its batch is the global batch.
        variants: the first one is the reference.
        workers: number of processes.
    """
    own = replace(setup, batch=max(setup.batch // workers, 1), device="cpu")
    with tempfile.TemporaryDirectory() as folder:
        # All processes send the same number of bytes; the first one's is reported.
        spawn(_count, (workers, folder, own, tuple(variants)), nprocs=workers)
        counted, size = torch.load(Path(folder) / "counted.pt", weights_only=True)
    return [
        ExchangeRow(
            setup.network, setup.batch, workers, variant.name, count,
            round(count / counted[0], 3), size,
        )
        for variant, count in zip(variants, counted, strict=True)
    ]  # fmt: skip


def _count(rank: int, workers: int, folder: str, setup: Setup, variants: list[Variant]) -> None:
    torch.set_num_threads(1)
    meet_on_this_machine(Path(folder) / "meet", rank, workers)
    counted = []
    for runner in build_runners(setup, variants):
        before = bytes_exchanged()
        runner.round()
        counted.append((bytes_exchanged() - before) // runner.interval)
    if rank == 0:
        size = sum(p.numel() * p.element_size() for p in runner.model.parameters())
        torch.save((counted, size), Path(folder) / "counted.pt")
    dist.barrier()
    dist.destroy_process_group()
