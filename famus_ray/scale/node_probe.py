"""An actor on one node of a cluster, which looks at what a run needs there."""

from __future__ import annotations

import os
import shutil
import time
from contextlib import suppress
from dataclasses import dataclass
from datetime import timedelta
from pathlib import Path

import ray.util
import torch
import torch.distributed as dist

from famus_ray.files import write_text
from famus_ray.findings import Finding
from famus_ray.installed import found_here
from famus_ray.scale.cluster import available_cpus
from famus_ray.scale.machine import disk
from famus_ray.scale.meeting import interfaces, join, meeting_point
from famus_ray.store import download, remove

__all__ = ["Facts", "NodeProbe"]

_SEEN_WITHIN = 5.0  # seconds until a network file system shows a new file


@dataclass(frozen=True)
class Facts:
    """What a node has.

    Attributes:
        versions: from `found_here`.
        address: at which the other nodes reach it.
        interface: the network interface that PyTorch's processes take; empty if none is known.
        cpus: the cores that Ray's processes may use.
        gpus: the GPUs that PyTorch can use in them.
    """

    versions: dict[str, str]
    address: str
    interface: str
    cpus: int
    gpus: int


class NodeProbe:
    """What is asked of a node; each answer is worth a finding, and so is none."""

    def __init__(self) -> None:
        self._made: Path | None = None  # the folder of the runs, if it was not there

    def facts(self) -> Facts:
        """What the node has."""
        address = ray.util.get_node_ip_address()
        found = [os.environ.get("GLOO_SOCKET_IFNAME", ""), *interfaces(address)]
        return Facts(
            versions=found_here(),
            address=address,
            interface=next(filter(None, found), ""),
            cpus=available_cpus(),
            gpus=torch.cuda.device_count(),
        )

    def clock(self) -> float:
        """The time of the node, in seconds."""
        return time.time()

    def write(self, folder: Path) -> Finding:
        """Writes a file into a new folder below `run.root`; returns the space that is left there.

        Raises:
            OSError: it cannot be written.
        """
        self._made = None if folder.parent.exists() else folder.parent
        write_text(folder / "first", "first")
        return disk(folder.parent)

    def share(self, folder: Path, own: str) -> Finding | None:
        """Reads what another node wrote into a folder, and writes a file of its own there.

        Returns the space that is left; None if the folder does not come into sight.

        Raises:
            OSError: the file cannot be written.
        """
        end = time.monotonic() + _SEEN_WITHIN
        while not (folder / "first").is_file():
            download(folder)
            if time.monotonic() > end:
                return None
            time.sleep(0.2)
        write_text(folder / own, own)
        return disk(folder.parent)

    def clear(self, folder: Path, is_first: bool) -> None:
        """Removes the folder again; on the node that made it from the store, too, and `run.root` if
        it was not there before."""
        if is_first:
            remove(folder)
        shutil.rmtree(folder, ignore_errors=True)
        if self._made is not None:
            with suppress(OSError):
                self._made.rmdir()

    def meeting_point(self) -> tuple[str, int]:
        """The host and port at which the two ranks of an all-reduce meet: rank 0 is here."""
        return meeting_point()

    def all_reduce(self, rank: int, host: str, port: int, backend: str, seconds: float) -> float:
        """How long an all-reduce with another node takes, in seconds.

        Args:
            rank: 0 where `meeting_point` was called, 1 on the other node.
            host, port: from `meeting_point`.
            backend: gloo or nccl.
            seconds: the time limit.

        Raises:
            RuntimeError: the nodes do not reach each other, or the sum is wrong.
        """
        try:
            join(rank, 2, host, port, backend, timedelta(seconds=seconds))
            number = torch.ones(1, device="cuda" if backend == "nccl" else "cpu") * (rank + 1)
            begun = time.perf_counter()
            dist.all_reduce(number)
            if number.item() != 3:
                raise RuntimeError(f"1 + 2 was summed to {number.item():g}")
            return time.perf_counter() - begun
        finally:
            if dist.is_initialized():
                dist.destroy_process_group()
