"""Connecting the processes of a run by torch.distributed, on their node's address only."""

from __future__ import annotations

import os
import socket
from datetime import timedelta

import psutil
import ray.util
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

__all__ = ["interfaces", "join", "meeting_point", "was_left"]

_WAIT = timedelta(minutes=30)  # for the slowest process
_REACH = timedelta(minutes=5)  # for the store of the process of rank 0

_store: TCPStore | None = None  # the store of the process of rank 0, which the others connect to


def meeting_point() -> tuple[str, int]:
    """Opens a store in this process, of rank 0; returns the host and port of it."""
    global _store
    host = ray.util.get_node_ip_address()
    family = socket.AF_INET6 if ":" in host else socket.AF_INET
    # A store that opens its own socket listens on every interface, whatever host it is given.
    listener = socket.create_server((host, 0), family=family)
    port = listener.getsockname()[1]
    _store = TCPStore(
        host, port, is_master=True, wait_for_workers=False, master_listen_fd=listener.detach()
    )
    return host, port


def join(
    rank: int, workers: int, host: str, port: int, backend: str, wait: timedelta = _WAIT
) -> None:
    """Joins the process group; waits for all processes.

    Args:
        rank: of this process, from 0.
        workers: world size.
        host, port: from `meeting_point` in the process of rank 0.
        backend: `gloo` on CPUs, `nccl` on GPUs.
        wait: how long for the others, now and in each step.
    """
    # By default gloo listens at the address of the host's name, which may be a loopback address.
    for interface in interfaces(ray.util.get_node_ip_address()):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", interface)
    reach = min(wait, _REACH)
    store = _store if rank == 0 else TCPStore(host, port, is_master=False, timeout=reach)
    dist.init_process_group(backend, store=store, rank=rank, world_size=workers, timeout=wait)


def was_left(error: BaseException) -> bool:
    """Whether the error of this process was caused by the loss of another process."""
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error).lower()
    )


def interfaces(address: str) -> list[str]:
    """The network interface with this address, or none."""
    return [
        name
        for name, found in psutil.net_if_addrs().items()
        if address in (one.address for one in found)
    ]
