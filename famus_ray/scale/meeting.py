"""Where the processes of a run meet, reachable at their node's own address alone."""

from __future__ import annotations

import os
import socket
from datetime import timedelta

import psutil
import ray.util
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

__all__ = ["join", "meeting_point", "was_left"]

_WAIT = timedelta(minutes=30)  # for the slowest of them

_store: TCPStore | None = None  # of this process, where the others come to it


def meeting_point() -> tuple[str, int]:
    """Host and port at which this process and its peers find each other."""
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


def join(rank: int, workers: int, host: str, port: int, backend: str) -> None:
    """Meet the peers: `gloo` on CPUs, `nccl` on GPUs."""
    # Left alone, gloo listens where the host's name leads, which may be this node only.
    for interface in _interfaces(ray.util.get_node_ip_address()):
        os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
        os.environ.setdefault("NCCL_SOCKET_IFNAME", interface)
    store = _store if rank == 0 else TCPStore(host, port, is_master=False)
    dist.init_process_group(backend, store=store, rank=rank, world_size=workers, timeout=_WAIT)


def was_left(error: BaseException) -> bool:
    """Whether a process failed because a peer is gone: the loss of that one is the cause."""
    return isinstance(error, dist.DistError) or (
        isinstance(error, RuntimeError) and "gloo" in str(error).lower()
    )


def _interfaces(address: str) -> list[str]:
    """The network interfaces with this address: one, or none."""
    return [
        name
        for name, found in psutil.net_if_addrs().items()
        if address in (one.address for one in found)
    ]
