"""What manifests of KubeRay ask for: groups of pods, their number, and their end."""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from typing import Any

from famus_ray.cluster.extent import Extent, Group, in_hours

__all__ = ["extent_of_manifests"]

_KINDS = ("RayJob", "RayCluster")


def extent_of_manifests(documents: Iterable[Mapping[str, Any]]) -> Extent:
    """The extent of the first RayJob or RayCluster; of none if there is neither."""
    found = next((one for one in documents if one.get("kind") in _KINDS), None)
    if found is None:
        return Extent([], price="of your cluster's nodes", ends="not by itself")
    spec = found["spec"]
    cluster = spec["rayClusterSpec"] if found["kind"] == "RayJob" else spec
    groups = [_group(cluster["headGroupSpec"], "head pod", is_head=True)]
    groups += [_group(one, "worker pods") for one in cluster.get("workerGroupSpecs") or ()]
    return Extent(groups, price="of your cluster's nodes", ends=_ends(found["kind"], spec, cluster))


def _group(spec: Mapping[str, Any], what: str, *, is_head: bool = False) -> Group:
    """One group; what it has for trials is what Ray is told, or else the container's limits."""
    told = spec.get("rayStartParams") or {}
    asked = spec["template"]["spec"]["containers"][0].get("resources") or {}
    limits = {**(asked.get("requests") or {}), **(asked.get("limits") or {})}
    gpus = sum(int(many) for name, many in limits.items() if name.endswith("/gpu"))
    cpus = told.get("num-cpus", limits.get("cpu"))
    return Group(
        what,
        1 if is_head else int(spec.get("minReplicas", spec.get("replicas", 0))),
        1 if is_head else int(spec.get("maxReplicas", spec.get("replicas", 0))),
        cpus=None if cpus is None else _cores(str(cpus)),
        gpus=float(told.get("num-gpus", gpus)),
        is_head=is_head,
    )


def _cores(quantity: str) -> float:
    """CPU cores of a quantity such as `4` or `500m`."""
    return float(quantity[:-1]) / 1000 if quantity.endswith("m") else float(quantity)


def _ends(kind: str, spec: Mapping[str, Any], cluster: Mapping[str, Any]) -> str:
    parts = []
    if cluster.get("enableInTreeAutoscaling"):
        seconds = (cluster.get("autoscalerOptions") or {}).get("idleTimeoutSeconds", 60)
        parts.append(f"workers after {seconds / 60:g} idle minutes")
    if kind == "RayCluster":
        parts.append("the head not by itself: `down` ends it")
    else:
        parts += ["when the job does"] if spec.get("shutdownAfterJobFinishes") else []
        if seconds := spec.get("activeDeadlineSeconds"):
            parts.append(f"at the latest after {in_hours(seconds / 60)}")
    return "; ".join(parts) or "not by itself: `down` ends it"
