"""The number of runs that a cluster can hold at once, from its nodes' resources."""

from __future__ import annotations

import math
import time
from collections.abc import Mapping, Sequence

import ray

from famus_ray.config.schema import ScaleConfig
from famus_ray.errors import UserError
from famus_ray.scale.cluster import local_resources

__all__ = ["Capacity", "check_fits", "check_fits_here", "runs_at_once"]

Nodes = Sequence[Mapping[str, float]]  # the resources of each node, by Ray's names

_LOOK_EVERY = 2.0  # seconds


class Capacity:
    """The number of trials to run at once: a call returns it, at most two seconds old.

    On a cluster with autoscaling it is one more than fits: a waiting trial makes the cluster add
    nodes.

    Args:
        scale: what one run needs.
        wanted: `study.concurrent`, the most trials at once; None for as many as fit.
    """

    def __init__(self, scale: ScaleConfig, wanted: int | None) -> None:
        self._scale = scale
        self._wanted = wanted
        self._looked = -math.inf
        self._fits = 0

    def __call__(self) -> int:
        if self._scale.autoscaling and self._wanted:
            return self._wanted
        now = time.monotonic()
        if now - self._looked > _LOOK_EVERY:
            self._looked = now
            self._fits = runs_at_once(self._scale) + self._scale.autoscaling
        return min(self._fits, self._wanted or self._fits)


def runs_at_once(scale: ScaleConfig, nodes: Nodes | None = None) -> int:
    """The number of runs of `scale` that the nodes can hold at once, each worker on one node.

    Args:
        scale: what one run needs.
        nodes: by default those of the cluster.
    """
    needs = _needs(scale)
    workers = sum(
        min(math.floor(node.get(name, 0.0) / need) for name, need in needs.items())
        for node in (_nodes() if nodes is None else nodes)
    )
    return workers // scale.workers


def check_fits_here(scale: ScaleConfig) -> None:
    """Raises UserError if this machine cannot hold one run, where no cluster is named; Ray need
    not be started to know it."""
    if scale.address is None:
        check_fits(scale, [local_resources()])


def check_fits(scale: ScaleConfig, nodes: Nodes | None = None) -> None:
    """Raises UserError, with the arithmetic, if the nodes cannot hold even one run.

    Args:
        scale: what one run needs.
        nodes: by default those of the cluster.
    """
    nodes = _nodes() if nodes is None else nodes
    if runs_at_once(scale, nodes) or scale.autoscaling:
        return
    hint = "; or scale.autoscaling=true if it adds nodes when asked" if scale.address else ""
    for name, each in _needs(scale).items():
        key = f"scale.{name.lower()}s_per_worker"
        need, have = scale.workers * each, sum(node.get(name, 0.0) for node in nodes)
        if need > have:
            raise UserError(
                f"scale.workers = {scale.workers}: {scale.workers} workers x {each:g} {name} "
                f"need {need:g} {name}s, there are {have:g}; lower scale.workers or {key}{hint}"
            )
    worker = " and ".join(f"{need:g} {name}s" for name, need in _needs(scale).items())
    there = ", ".join(
        " and ".join(f"{node.get(name, 0.0):g} {name}s" for name in _needs(scale)) for node in nodes
    )
    raise UserError(
        f"scale.workers = {scale.workers}: each worker needs {worker} of one node; the nodes have "
        f"{there}; lower scale.cpus_per_worker or scale.workers{hint}"
    )


def _needs(scale: ScaleConfig) -> dict[str, float]:
    """The resources that one worker needs, by name."""
    both = {"CPU": scale.cpus_per_worker, "GPU": scale.gpus_per_worker}
    return {name: need for name, need in both.items() if need}


def _nodes() -> Nodes:
    return [node["Resources"] for node in ray.nodes() if node["Alive"]]
