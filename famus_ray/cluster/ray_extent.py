"""What a file of Ray's launcher asks for: types of machines, their number, and their end."""

from __future__ import annotations

import re
from collections.abc import Mapping
from typing import Any

from famus_ray.cluster.extent import Extent, Group, in_hours
from famus_ray.cluster.machines import MACHINES

__all__ = ["extent_of_ray", "is_spot", "lives_too_long", "machine_type"]

_LONGEST_LIFE = 7 * 24 * 60  # minutes
_SHUTDOWN = re.compile(r"shutdown\s+(?:-\w+\s+)*\+(\d+)")


def extent_of_ray(file: Mapping[str, Any]) -> Extent:
    """The extent of a file that its check has nothing against."""
    if file["provider"]["type"] == "local":
        many = 1 + len(file["provider"].get("worker_ips") or ())
        return Extent(
            [Group("machines of yours", many, many)],
            price="nothing is rented",
            ends="not by itself",
        )
    head = file["head_node_type"]
    types = file["available_node_types"]
    order = [head, *(name for name in types if name != head)]
    groups = [
        group
        for name in order
        for group in _groups(types[name], name == head, int(file.get("max_workers", 2)))
    ]
    return Extent(groups, int(file.get("max_workers", 2)), ends=_ends(file, groups))


def machine_type(config: Mapping[str, Any]) -> str:
    """The name of the machine type in a `node_config`; empty if there is none."""
    azure = _mapping(config.get("azure_arm_parameters"))
    name = config.get("InstanceType") or config.get("machineType") or azure.get("vmSize")
    return str(name or "")


def is_spot(config: Mapping[str, Any]) -> bool:
    """Whether a machine of this `node_config` may be taken away."""
    market = _mapping(config.get("InstanceMarketOptions")).get("MarketType")
    times = _mapping(config.get("scheduling"))
    priority = _mapping(config.get("azure_arm_parameters")).get("priority")
    return bool(
        market == "spot"
        or times.get("provisioningModel") == "SPOT"
        or times.get("preemptible")
        or priority in ("Spot", "Low")
    )


def lives_too_long(config: Mapping[str, Any]) -> str | None:
    """What is wrong with the time at which a machine of this `node_config` ends itself."""
    minutes = _life_in_minutes(config)
    if minutes is None:
        return "the machine has no time at which it ends itself"
    if minutes > _LONGEST_LIFE:
        return f"the machine ends itself only after {in_hours(minutes)}"
    return None


def _life_in_minutes(config: Mapping[str, Any]) -> float | None:
    """The minutes after which a machine ends itself, with its disk; None if it does not."""
    found = _SHUTDOWN.search(str(config.get("UserData") or ""))
    if found and config.get("InstanceInitiatedShutdownBehavior") == "terminate":
        return float(found[1])
    times = _mapping(config.get("scheduling"))
    seconds = str(_mapping(times.get("maxRunDuration")).get("seconds"))
    if seconds.isdecimal() and times.get("instanceTerminationAction") == "DELETE":
        return float(seconds) / 60
    return None


def _mapping(value: Any) -> Mapping[str, Any]:
    """The value, which is the user's; nothing if it is no mapping."""
    return value if isinstance(value, dict) else {}


def _groups(kind: Mapping[str, Any], is_head: bool, workers: int) -> list[Group]:
    """The machines of a type: the head, and workers of the same type where there may be some."""
    config = kind.get("node_config") or {}
    name, told = machine_type(config), kind.get("resources") or {}
    known = MACHINES.get(name)
    spot, minutes = is_spot(config), _life_in_minutes(config)
    least = int(kind.get("min_workers") or 0)
    most = min(int(kind.get("max_workers", 0 if is_head else workers)), workers)
    counts = [(1, 1, True)] if is_head else []
    counts += [(least, most, False)] if most else []
    cpus, gpus = (known.cpus, known.gpus) if known else (None, None)
    return [
        Group(
            what=f"{name or 'machine'}{' on spot' if spot else ''}",
            least=few,
            most=many,
            cpus=told.get("CPU", cpus),
            gpus=told.get("GPU", 0 if told.get("CPU") == 0 else gpus),
            dollars=None if known is None else known.spot if spot else known.dollars,
            hours=None if minutes is None else minutes / 60,
            is_head=leads,
        )
        for few, many, leads in counts
    ]


def _ends(file: Mapping[str, Any], groups: list[Group]) -> str:
    parts = []
    if any(not group.is_head for group in groups):
        idle = file.get("idle_timeout_minutes", 5)
        parts.append(f"workers after {idle:g} idle minutes")
    lives = {group.hours for group in groups}
    head = next(group.hours for group in groups if group.is_head)
    if None not in lives and len(lives) == 1:
        parts.append(f"every machine {in_hours((head or 0) * 60)} after its start")
    else:
        for group in groups:
            if group.hours is not None:
                parts.append(f"{group.what} {in_hours(group.hours * 60)} after its start")
    parts += [] if head else ["the head not by itself: `down` ends it"]
    return "; ".join(parts)
