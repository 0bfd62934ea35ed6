"""Whether nodes reach each other: an all-reduce of two ranks on two nodes, each node in one."""

from __future__ import annotations

import time
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from typing import Any, Generic, TypeVar

import ray

from famus_ray.errors import first_line
from famus_ray.findings import Finding
from famus_ray.scale.node_probe import Facts

__all__ = ["PairCheck", "reason"]

_MEET_WITHIN = 20.0  # seconds for two ranks to connect, and for a sum of one number
_MORE = 15.0  # seconds until a rank has told of it

_CHOOSE = (
    "open all ports between the machines; GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME, set where "
    "Ray is started, choose the interface"
)

_Node = TypeVar("_Node")


@dataclass(frozen=True)
class PairCheck(Generic[_Node]):
    """All-reduces between nodes, two by two.

    Attributes:
        facts: what each node has.
        named: the label of a node.
        probe: the probe of a node; a new one if the second argument says so.
        within: seconds in which a new probe starts.
    """

    facts: Mapping[_Node, Facts]
    named: Callable[[_Node], str]
    probe: Callable[[_Node, bool], Any]
    within: float

    def findings(self) -> dict[_Node, Finding]:
        """A finding for each node: whether it took part in an all-reduce with another one.

        A node whose pair failed, or that was left over, is tried again with one that is known to
        be good: so it is seen which of two is not. There are none for a cluster of one node.
        """
        order = sorted(self.facts, key=lambda node: self.facts[node].gpus == 0)
        if len(order) < 2:
            return {}
        found = self._try(list(zip(order[::2], order[1::2], strict=False)))
        good = [node for node in order if node in found and found[node].level == "ok"]
        left = [node for node in reversed(order) if node not in (good or found)]
        again = self._try(list(zip(left, good or order, strict=False)), failed={*found} - {*good})
        return found | {n: f for n, f in again.items() if n in left or f.level == "ok"}

    def _try(
        self, pairs: list[tuple[_Node, _Node]], failed: frozenset[_Node] | set[_Node] = frozenset()
    ) -> dict[_Node, Finding]:
        """Findings on the nodes of the pairs, which are tried all at once.

        Args:
            pairs: of different nodes.
            failed: those whose process has failed in an all-reduce, and is not used again.
        """
        probes = {node: self.probe(node, node in failed) for pair in pairs for node in pair}
        points = {pair: probes[pair[0]].meeting_point.remote() for pair in pairs}
        started = [probe.clock.remote() for probe in probes.values()]
        _wait([*points.values(), *started], self.within)
        found: dict[_Node, Finding] = {}
        ranks: dict[tuple[_Node, _Node], list[Any]] = {}
        told: dict[tuple[_Node, _Node], str] = {}
        for pair, point in points.items():
            facts = [self.facts[node] for node in pair]
            backend = "nccl" if all(one.gpus for one in facts) else "gloo"
            over = " and ".join(f"{one.interface or '?'} ({one.address})" for one in facts)
            try:
                host, port = ray.get(point, timeout=0)
            except ray.exceptions.RayError as error:
                what = f"no all-reduce over {over}: {reason(error)}"
                found |= dict.fromkeys(pair, Finding("unfit", what, _CHOOSE))
                continue
            told[pair] = f"by {backend} over {over}, meeting at {host}:{port}"
            ranks[pair] = [
                probes[node].all_reduce.remote(rank, host, port, backend, _MEET_WITHIN)
                for rank, node in enumerate(pair)
            ]
        _until_all_ended([*ranks.values()])
        for pair, both in ranks.items():
            for node, other in (pair, pair[::-1]):
                found[node] = _told(f"all-reduce with {self.named(other)} {told[pair]}", both)
        return found


def _wait(asked: list[Any], within: float) -> None:
    if asked:
        ray.wait(asked, num_returns=len(asked), timeout=within)


def _until_all_ended(pairs: list[list[Any]]) -> None:
    """Returns when each pair of ranks has ended, or one of the two has failed."""
    end = time.monotonic() + _MEET_WITHIN + _MORE
    waiting = {rank: both for both in pairs for rank in both}
    while waiting and (left := end - time.monotonic()) > 0:
        for rank in ray.wait([*waiting], timeout=left)[0]:
            both = waiting.pop(rank, [])
            if isinstance(_outcome(rank), Exception):
                for other in both:  # it would wait for this one until its time is up
                    waiting.pop(other, None)


def _outcome(rank: Any) -> Any:
    """The seconds that a rank took, or the error with which it ended, or a GetTimeoutError."""
    try:
        return ray.get(rank, timeout=0)
    except ray.exceptions.RayError as error:
        return error


def _told(what: str, ranks: list[Any]) -> Finding:
    outcomes = [_outcome(rank) for rank in ranks]
    errors = [one for one in outcomes if isinstance(one, Exception)]
    if not errors:
        return Finding("ok", f"{what}: {max(outcomes):.3f} s")
    late = [one for one in errors if isinstance(one, ray.exceptions.GetTimeoutError)]
    error = next((one for one in errors if one not in late), None)
    why = f"not within {_MEET_WITHIN:g} s" if error is None else reason(error)
    return Finding("unfit", f"no {what}: {why}", _CHOOSE)


def reason(error: Exception) -> str:
    """What a node's process failed with, in one line; Ray's message ends with it."""
    if (cause := getattr(error, "cause", None)) is not None:
        return first_line(cause)
    lines = [line.strip() for line in str(error).splitlines()]
    return next(filter(None, reversed(lines)), type(error).__name__)
