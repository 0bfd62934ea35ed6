"""Prints so many ports that nothing listens at: `python -m famus_ray.cluster.free_ports 3`."""

from __future__ import annotations

import socket
import sys
from contextlib import ExitStack

__all__ = ["free_ports"]


def free_ports(count: int) -> list[int]:
    """Different ports that nothing listens at, on any address of this machine."""
    with ExitStack() as stack:
        sockets = [stack.enter_context(socket.socket()) for _ in range(count)]
        for one in sockets:
            one.bind(("", 0))
        return [int(one.getsockname()[1]) for one in sockets]


if __name__ == "__main__":
    print(*free_ports(int(sys.argv[1])))
