"""Ports through which commands reach Ray, and ranges of addresses that are too wide."""

from __future__ import annotations

import ipaddress

__all__ = ["COMMAND_PORTS", "opened", "too_wide"]

# The dashboard with its job submission, the GCS, and Ray Client: who reaches them runs commands.
COMMAND_PORTS = (8265, 6379, 10001)

_PRIVATE = ("10.", "192.168.", "fc", "fd", *(f"172.{second}." for second in range(16, 32)))
_SHORTEST = {4: 16, 6: 48}  # bits of a public range: an organisation's network


def opened(first: object, last: object) -> list[int]:
    """The command ports in a range of ports; all of them if the range has no bounds."""
    if not isinstance(first, int) or not isinstance(last, int) or first < 0:
        return list(COMMAND_PORTS)
    return [port for port in COMMAND_PORTS if first <= port <= last]


def too_wide(addresses: object) -> bool:
    """Whether a range such as `203.0.113.0/24` is public and wider than an organisation's network,
    or no range."""
    try:
        network = ipaddress.ip_network(str(addresses), strict=False)
    except ValueError:
        return True
    private = network.with_prefixlen.startswith(_PRIVATE) and network.prefixlen >= 8
    return not private and network.prefixlen < _SHORTEST[network.version]
