"""Rules for a pod: no root, no host, an explicit image, resources, and a toleration for GPUs."""

from __future__ import annotations

import re
from collections.abc import Iterator

from famus_ray.cluster.problem import Problem
from famus_ray.cluster.yaml_lines import Address, Marked

__all__ = ["check_pod", "pods_of"]

_GPU = "nvidia.com/gpu"
_TAG = re.compile(r".+(:(?!latest$)[\w][\w.-]*|@sha256:[0-9a-f]{64})$")


def pods_of(marked: Marked) -> Iterator[Address]:
    """The addresses of the pod templates of a document, whatever its kind."""
    for address in marked.lines:
        value = marked.at(address)
        if address and isinstance(value, dict) and isinstance(value.get("containers"), list):
            yield address


def check_pod(marked: Marked, here: Address, *, runs_ray: bool) -> Iterator[Problem]:
    """Problems of one pod.

    Args:
        marked: the document.
        here: the address of the pod's spec.
        runs_ray: whether it is a node of a Ray cluster, which reads its resources.
    """
    pod = marked.at(here)
    for key in ("hostNetwork", "hostPID", "hostIPC"):
        if pod.get(key):
            what = f"{key}: the pod reaches what belongs to its machine"
            yield marked.problem((*here, key), "host", what, f"remove {key}")
    for index, volume in marked.mappings((*here, "volumes")):
        if "hostPath" in volume:
            what = "a volume of the machine's own files"
            mend = "take a PersistentVolumeClaim or an emptyDir"
            yield marked.problem((*here, "volumes", index, "hostPath"), "host", what, mend)
    for index, _ in marked.mappings((*here, "containers")):
        address = (*here, "containers", index)
        yield from _security(marked, here, address)
        yield from _image(marked, address)
        yield from _mounts(marked, here, address)
        if runs_ray and index == 0:
            yield from _resources(marked, here, address)


def _security(marked: Marked, here: Address, container: Address) -> Iterator[Problem]:
    of_pod = marked.mapping((*here, "securityContext"))
    own = marked.mapping((*container, "securityContext"))
    name = marked.at((*container, "name"))
    address = (*container, "securityContext")
    not_root = own.get("runAsNonRoot", of_pod.get("runAsNonRoot"))
    user = own.get("runAsUser", of_pod.get("runAsUser", 1))
    if not_root is not True or user == 0:
        what, mend = (
            f"container {name} may run as root",
            "write runAsNonRoot: true in securityContext",
        )
        yield marked.problem((*here, "securityContext", "runAsNonRoot"), "non-root", what, mend)
    if own.get("privileged"):
        what = f"container {name} is privileged: it owns its machine"
        yield marked.problem((*address, "privileged"), "non-root", what, "remove privileged")
    if own.get("allowPrivilegeEscalation") is not False:
        what = f"container {name} may gain privileges"
        mend = "write allowPrivilegeEscalation: false in its securityContext"
        yield marked.problem((*address, "allowPrivilegeEscalation"), "non-root", what, mend)


def _image(marked: Marked, container: Address) -> Iterator[Problem]:
    image = marked.at((*container, "image"))
    if not isinstance(image, str) or not _TAG.match(image):
        what = f"image {image}: another one tomorrow"
        mend = "write a version, such as famus-ray:0.1.0"
        yield marked.problem((*container, "image"), "image", what, mend)


def _mounts(marked: Marked, here: Address, container: Address) -> Iterator[Problem]:
    known = [volume.get("name") for _, volume in marked.mappings((*here, "volumes"))]
    for index, mount in marked.mappings((*container, "volumeMounts")):
        if mount.get("name") not in known:
            what = f"volumeMounts: there is no volume {mount.get('name')}"
            address = (*container, "volumeMounts", index, "name")
            yield marked.problem(address, "volume", what, "write it under volumes")


def _resources(marked: Marked, here: Address, container: Address) -> Iterator[Problem]:
    address = (*container, "resources", "limits")
    limits = marked.mapping(address)
    missing = [name for name in ("cpu", "memory") if name not in limits]
    if missing:
        what = f"no limit of {' and '.join(missing)}: Ray takes what the whole machine has"
        mend = "write resources: {limits: {cpu: ..., memory: ...}}"
        yield marked.problem(address, "resources", what, mend)
    keys = [one.get("key") for _, one in marked.mappings((*here, "tolerations"))]
    if _GPU in limits and _GPU not in keys and None not in keys:
        what = "the pod waits for ever: machines with GPUs are tainted, and it does not tolerate it"
        mend = f"write tolerations: [{{key: {_GPU}, operator: Exists, effect: NoSchedule}}]"
        yield marked.problem((*address, _GPU), "gpu-toleration", what, mend)
