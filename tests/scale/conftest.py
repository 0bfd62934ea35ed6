from __future__ import annotations

import ipaddress
import time
from collections.abc import Callable, Iterator

import psutil
import pytest
import ray


@pytest.fixture
def nothing_left(ray_instance: None) -> Iterator[None]:
    """After the test all CPUs are free and no placement group is left; Ray tells of it late."""
    yield
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and ray.available_resources().get("CPU") != 2:
        time.sleep(0.2)
    assert ray.available_resources().get("CPU") == 2
    assert {g["state"] for g in ray.util.placement_group_table().values()} <= {"REMOVED"}


@pytest.fixture(scope="session")
def reachable() -> Callable[[psutil.Process], list[str]]:
    """The sockets of a process and all of its children that other machines could reach."""

    def of(process: psutil.Process) -> list[str]:
        found = []
        for one in (process, *process.children(recursive=True)):
            try:
                name, sockets = one.name(), one.net_connections("inet")
            except psutil.NoSuchProcess:
                continue
            waiting = [s for s in sockets if s.status in (psutil.CONN_LISTEN, psutil.CONN_NONE)]
            found += [f"{name} at {s.laddr}" for s in waiting if not is_loopback(s.laddr.ip)]
        return found

    def is_loopback(text: str) -> bool:
        address = ipaddress.ip_address(text)
        return (getattr(address, "ipv4_mapped", None) or address).is_loopback

    return of
