"""Rules for RayJob and RayCluster: token, end of machines, growth, access, queues."""

from __future__ import annotations

import re
from collections.abc import Iterator

from famus_ray.cluster.problem import Problem
from famus_ray.cluster.yaml_lines import Address, Marked

__all__ = ["check_ray_kind", "cluster_spec"]

_TOKEN_SINCE = (2, 52)
_LONGEST_IDLE = 3600  # seconds
_QUEUE = "kueue.x-k8s.io/queue-name"
_MOST_GROUPS_IN_A_QUEUE = 7


def cluster_spec(marked: Marked) -> Address:
    """The address of the cluster in a RayJob or RayCluster."""
    return ("spec", "rayClusterSpec") if marked.at("kind") != "RayCluster" else ("spec",)


def check_ray_kind(marked: Marked) -> list[Problem]:
    """Problems of a RayJob or RayCluster that its schema allows."""
    here = cluster_spec(marked)
    problems = [*_token(marked, here), *_growth(marked, here), *_groups(marked, here)]
    problems += [*_open(marked, here), *_queue(marked, here)]
    if marked.at("kind") == "RayJob":
        problems += _job(marked)
    return problems


def _token(marked: Marked, here: Address) -> Iterator[Problem]:
    if marked.at((*here, "authOptions", "mode")) != "token":
        what = "no token: whoever reaches Ray's ports runs commands in the pods"
        address = (*here, "authOptions", "mode")
        yield marked.problem(address, "token", what, "write authOptions: {mode: token}")
    version = str(marked.at((*here, "rayVersion"), ""))
    numbers = tuple(map(int, re.findall(r"\d+", version)[:2]))
    if not version:
        what = "rayVersion is missing: KubeRay then knows of no token and no autoscaler v2"
        yield marked.problem(here, "version", what, "write rayVersion, that of the image")
    elif numbers < _TOKEN_SINCE:
        what = f"rayVersion = {version}: tokens came with 2.52"
        yield marked.problem((*here, "rayVersion"), "token", what, "take a newer Ray")


def _growth(marked: Marked, here: Address) -> Iterator[Problem]:
    if not marked.at((*here, "enableInTreeAutoscaling")):
        return
    idle = marked.at((*here, "autoscalerOptions", "idleTimeoutSeconds"))
    if not isinstance(idle, int) or not 0 < idle <= _LONGEST_IDLE:
        what = f"idleTimeoutSeconds = {idle}: workers without work go on costing"
        mend = f"write autoscalerOptions: {{idleTimeoutSeconds: 300}} (at most {_LONGEST_IDLE})"
        address = (*here, "autoscalerOptions", "idleTimeoutSeconds")
        yield marked.problem(address, "idle-timeout", what, mend)
    if marked.at((*here, "autoscalerOptions", "version")) == "v2":
        for address in (("headGroupSpec",), *_workers(marked, here)):
            policy = (*here, *address, "template", "spec", "restartPolicy")
            if marked.at(policy) not in (None, "Never"):
                what = "restartPolicy: the second autoscaler needs pods that do not come back"
                yield marked.problem(policy, "restart", what, "write restartPolicy: Never")


def _workers(marked: Marked, here: Address) -> Iterator[Address]:
    for index, _ in marked.mappings((*here, "workerGroupSpecs")):
        yield ("workerGroupSpecs", index)


def _groups(marked: Marked, here: Address) -> Iterator[Problem]:
    for group in _workers(marked, here):
        address = (*here, *group)
        least, now, most = (
            marked.at((*address, key), default)
            for key, default in (("minReplicas", 0), ("replicas", None), ("maxReplicas", None))
        )
        now = least if now is None else now
        numbers = [number for number in (least, now, most) if isinstance(number, int)]
        if numbers != sorted(numbers):
            what = f"minReplicas {least}, replicas {now}, maxReplicas {most}: not in this order"
            mend = "write minReplicas <= replicas <= maxReplicas"
            yield marked.problem((*address, "maxReplicas"), "replicas", what, mend)
    for group in (("headGroupSpec",), *_workers(marked, here)):
        address = (*here, *group)
        parameters = marked.mapping((*address, "rayStartParams"))
        told = [key for key in parameters if key in ("num-cpus", "num-gpus", "memory", "resources")]
        if told and marked.at((*address, "resources")):
            what = f"{told[0]}: resources are given twice, here and in the group's resources"
            where = (*address, "rayStartParams", told[0])
            yield marked.problem(where, "resources", what, "remove one of them")


def _open(marked: Marked, here: Address) -> Iterator[Problem]:
    head = (*here, "headGroupSpec")
    if (kind := marked.at((*head, "serviceType"))) not in (None, "ClusterIP"):
        what = f"serviceType = {kind}: the dashboard can be reached from outside of the cluster"
        mend = "write serviceType: ClusterIP, and reach it by kubectl port-forward"
        yield marked.problem((*head, "serviceType"), "open-port", what, mend)
    if marked.at((*head, "enableIngress")):
        what = "enableIngress: the dashboard can be reached from outside of the cluster"
        yield marked.problem((*head, "enableIngress"), "open-port", what, "remove enableIngress")


def _job(marked: Marked) -> Iterator[Problem]:
    spec: Address = ("spec",)
    if marked.at("spec.shutdownAfterJobFinishes") is not True:
        what = "the cluster stays when the job has ended, and goes on costing"
        mend = "write shutdownAfterJobFinishes: true"
        yield marked.problem((*spec, "shutdownAfterJobFinishes"), "ttl", what, mend)
    if marked.at("spec.ttlSecondsAfterFinished") is None:
        what = "ttlSecondsAfterFinished is missing: the job stays in the list for ever"
        mend = "write ttlSecondsAfterFinished: 600"
        yield marked.problem((*spec, "ttlSecondsAfterFinished"), "ttl", what, mend)
    if not marked.at("spec.backoffLimit"):
        what = "backoffLimit is 0: a job whose head is lost is lost"
        yield marked.problem((*spec, "backoffLimit"), "backoff", what, "write backoffLimit: 3")
    elif "--or-resume" not in (command := str(marked.at("spec.entrypoint", ""))) and re.search(
        r"famus-ray (tune|train)\b", command
    ):
        what = "the second attempt would find the first one's folder, and refuse"
        mend = "write --or-resume in the entrypoint"
        yield marked.problem((*spec, "entrypoint"), "resume", what, mend)
    if not marked.at("spec.activeDeadlineSeconds"):
        what = "activeDeadlineSeconds is missing: a job that hangs costs for ever"
        mend = "write activeDeadlineSeconds: 86400"
        yield marked.problem((*spec, "activeDeadlineSeconds"), "kill-time", what, mend)


def _queue(marked: Marked, here: Address) -> Iterator[Problem]:
    """Kueue reserves once for the whole cluster, and takes it down with the job."""
    if not marked.at(("metadata", "labels", _QUEUE)):
        return
    if marked.at((*here, "enableInTreeAutoscaling")):
        what = "a cluster in a queue must not grow by itself"
        mend = "write enableInTreeAutoscaling: false"
        yield marked.problem((*here, "enableInTreeAutoscaling"), "queue", what, mend)
    if len(list(_workers(marked, here))) > _MOST_GROUPS_IN_A_QUEUE:
        what = f"more than {_MOST_GROUPS_IN_A_QUEUE} groups of workers: Kueue takes no more"
        yield marked.problem((*here, "workerGroupSpecs"), "queue", what, "join some of them")
    if marked.at("spec.clusterSelector"):
        what = "clusterSelector: Kueue takes jobs with clusters of their own only"
        yield marked.problem("spec.clusterSelector", "queue", what, "write rayClusterSpec")
