"""Whether nodes reach each other: an all-reduce of two ranks on two nodes, each node in one."""

from __future__ import annotations

from collections.abc import Callable, Mapping
from typing import Any, TypeVar

import ray

from famus_ray.errors import first_line
from famus_ray.findings import Finding
from famus_ray.scale.node_probe import Facts

__all__ = ["check_pairs"]

_MEET_WITHIN = 20.0  # seconds for two ranks to connect, and for a sum of one number
_MORE = 15.0  # seconds until a rank has told of it

_CHOOSE = (
    "open all ports between the machines; GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME, set where "
    "Ray is started, choose the interface"
)

_Node = TypeVar("_Node")


def check_pairs(
    nodes: Mapping[_Node, tuple[Any, Facts]], named: Callable[[_Node], str]
) -> dict[_Node, Finding]:
    """A finding for each node: whether it took part in an all-reduce with another one.

    Nodes are taken two by two, those with GPUs first. A node whose pair failed, or that was left
    over, is tried again with one that is known to be good: so it is seen which of two is not.

    Args:
        nodes: the probe of each node, and what the node has.
        named: the label of a node.
    """
    order = sorted(nodes, key=lambda node: nodes[node][1].gpus == 0)
    found = _try(list(zip(order[::2], order[1::2], strict=False)), nodes, named)
    good = [node for node in order if node in found and found[node].level == "ok"]
    left = [node for node in reversed(order) if node not in (good or found)]
    if len(order) > 1:
        again = _try(list(zip(left, good or order, strict=False)), nodes, named)
        found |= {node: again[node] for node in left if node in again}
    return found


def _try(
    pairs: list[tuple[_Node, _Node]],
    nodes: Mapping[_Node, tuple[Any, Facts]],
    named: Callable[[_Node], str],
) -> dict[_Node, Finding]:
    """Findings on the nodes of the pairs, which are tried all at once."""
    points = {pair: nodes[pair[0]][0].meeting_point.remote() for pair in pairs}
    found: dict[_Node, Finding] = {}
    asked: dict[tuple[_Node, _Node], tuple[str, list[Any]]] = {}
    for pair, point in points.items():
        backend = "nccl" if all(nodes[node][1].gpus for node in pair) else "gloo"
        over = " and ".join(f"{nodes[n][1].interface or '?'} ({nodes[n][1].address})" for n in pair)
        try:
            host, port = ray.get(point, timeout=_MORE)
        except ray.exceptions.RayError as error:
            told = f"no all-reduce between {over}: {first_line(error)}"
            found |= dict.fromkeys(pair, Finding("unfit", told, _CHOOSE))
            continue
        ranks = [
            nodes[node][0].all_reduce.remote(rank, host, port, backend, _MEET_WITHIN)
            for rank, node in enumerate(pair)
        ]
        asked[pair] = f"by {backend} over {over}, meeting at {host}:{port}", ranks
    waiting = [rank for _, ranks in asked.values() for rank in ranks]
    if waiting:
        ray.wait(waiting, num_returns=len(waiting), timeout=_MEET_WITHIN + _MORE)
    for pair, (told, ranks) in asked.items():
        for node, other in (pair, pair[::-1]):
            found[node] = _told(f"all-reduce with {named(other)} {told}", ranks)
    return found


def _told(what: str, ranks: list[Any]) -> Finding:
    try:
        seconds = max(ray.get(ranks, timeout=0))
    except ray.exceptions.GetTimeoutError:
        return Finding("unfit", f"no {what}: not within {_MEET_WITHIN:g} s", _CHOOSE)
    except ray.exceptions.RayError as error:
        cause = getattr(error, "cause", None) or error
        return Finding("unfit", f"no {what}: {first_line(cause)}", _CHOOSE)
    return Finding("ok", f"{what}: {seconds:.3f} s")
