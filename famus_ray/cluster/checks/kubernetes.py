"""Kubernetes manifests and folders of kustomize: strict schemas, and the rules of each kind."""

from __future__ import annotations

import shutil
import subprocess
import tempfile
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from famus_ray.cluster.checks import core_kinds, custom_resources
from famus_ray.cluster.checks.json_schema import schema_problems
from famus_ray.cluster.checks.kustomization import KUSTOMIZATION, check_kustomization, parts_of
from famus_ray.cluster.checks.pods import check_pod, pods_of
from famus_ray.cluster.checks.ports import COMMAND_PORTS
from famus_ray.cluster.checks.ray_kinds import check_ray_kind, cluster_spec
from famus_ray.cluster.checks.safety import check_placeholders
from famus_ray.cluster.checks.secrets import check_secrets
from famus_ray.cluster.checks.versions import check_versions
from famus_ray.cluster.problem import Problem
from famus_ray.cluster.yaml_lines import Marked, read
from famus_ray.errors import did_you_mean

__all__ = ["check_documents", "check_folder", "renderer"]

_RAY = ("RayCluster", "RayJob")


def check_documents(documents: list[Marked], beside: list[Marked]) -> list[Problem]:
    """Problems of manifests.

    Args:
        documents: what is checked.
        beside: what else is applied with them, such as their NetworkPolicy.
    """
    problems: list[Problem] = []
    for marked in documents:
        problems += [*check_secrets(marked), *check_versions(marked), *check_placeholders(marked)]
        kind = str(marked.at("kind"))
        if str(marked.at("apiVersion")).startswith("kustomize.config.k8s.io/"):
            problems += check_kustomization(marked)
            continue
        problems += _schema(marked)
        ray = cluster_spec(marked) if kind in custom_resources.KINDS else None
        for pod in pods_of(marked):
            problems += check_pod(marked, pod, runs_ray=bool(ray and pod[: len(ray)] == ray))
        if kind in _RAY:
            problems += check_ray_kind(marked)
            problems += _network_policy(marked, [*documents, *beside])
        problems += _kind(marked, kind)
    return problems


def check_folder(folder: Path) -> list[Problem]:
    """Problems of a folder of kustomize: of its files, and of what is rendered from them."""
    problems: list[Problem] = []
    documents: list[Marked] = []
    for path in parts_of(folder):
        found = read(path)
        problems += found.problems
        documents += found.documents
    problems += check_documents(documents, [])
    if not problems and renderer():
        problems = list(_rendered(folder))
    return sorted(set(problems))


def renderer() -> list[str] | None:
    """The command that renders a folder of kustomize, or None if there is none here."""
    if program := shutil.which("kubectl"):
        return [program, "kustomize"]
    program = shutil.which("kustomize")
    return [program, "build"] if program else None


def _rendered(folder: Path) -> Iterator[Problem]:
    """Problems of what kustomize makes of a folder, all at its kustomization."""
    file = folder / KUSTOMIZATION
    command = renderer()
    assert command is not None
    done = subprocess.run(  # noqa: S603 - a program of that name, and the folder
        [*command, str(folder)], capture_output=True, text=True, check=False, timeout=60
    )
    if done.returncode:
        what = f"kustomize refuses it: {done.stderr.strip().splitlines()[0]}"
        yield Problem(file, 1, "kustomize", what, "mend what it names")
        return
    with tempfile.TemporaryDirectory() as scratch:
        path = Path(scratch) / "rendered.yaml"
        path.write_text(done.stdout, encoding="utf-8")
        line = read(file).documents[0].line_of("patches")
        for found in check_documents(read(path).documents, []):
            what = f"once rendered: {found.what}"
            yield Problem(file, line, found.rule, what, found.mend)


def _schema(marked: Marked) -> list[Problem]:
    version, kind = str(marked.at("apiVersion")), str(marked.at("kind"))
    content = _without_nulls(marked.content)
    if version.startswith("ray.io/"):
        if kind not in custom_resources.KINDS:
            near = did_you_mean(kind, custom_resources.KINDS)
            what = f"kind = {kind}: KubeRay has no such kind{near}"
            mend = f"write one of {', '.join(custom_resources.KINDS)}"
            return [marked.problem("kind", "kind", what, mend)]
        if version != custom_resources.VERSION:
            what, mend = f"apiVersion = {version}: not served", f"write {custom_resources.VERSION}"
            return [marked.problem("apiVersion", "kind", what, mend)]
        return schema_problems(marked, (), content, custom_resources.schema_of(kind), "kuberay")
    if not core_kinds.described():
        return []
    schema = core_kinds.schema_of(version, kind)
    if schema is None:
        return []
    return schema_problems(marked, (), content, schema, "kubernetes")


def _without_nulls(content: Any) -> Any:
    """What Kubernetes makes of nulls: the fields are not there."""
    if isinstance(content, dict):
        return {k: _without_nulls(v) for k, v in content.items() if v is not None}
    return [_without_nulls(v) for v in content] if isinstance(content, list) else content


def _network_policy(marked: Marked, documents: list[Marked]) -> Iterator[Problem]:
    """A cluster whose pods no NetworkPolicy selects."""
    head = (*cluster_spec(marked), "headGroupSpec", "template", "metadata", "labels")
    labels = marked.mapping(head) | {"ray.io/node-type": "head"}
    for other in documents:
        wanted = other.mapping("spec.podSelector.matchLabels").items()
        closes = other.at("kind") == "NetworkPolicy" and "Ingress" in other.items(
            "spec.policyTypes"
        )
        if closes and all(item in labels.items() for item in wanted):
            return
    what = "no NetworkPolicy for the head's pod: every pod of the cluster reaches its ports"
    mend = "add one, such as cluster/kubernetes/base/network.yaml, that selects its labels"
    yield marked.problem(head, "network-policy", what, mend)


def _kind(marked: Marked, kind: str) -> Iterator[Problem]:
    """Rules of Kubernetes' own kinds."""
    modes = marked.items("spec.accessModes")
    if kind == "PersistentVolumeClaim" and "ReadWriteMany" not in modes:
        what = "accessModes: only one machine may write, and runs are written by all"
        mend = "write accessModes: [ReadWriteMany]"
        yield marked.problem("spec.accessModes", "shared-storage", what, mend)
    if kind == "NetworkPolicy":
        for index, rule in marked.mappings("spec.ingress"):
            if not rule.get("from"):
                what = "a rule without `from` lets everybody in"
                address = ("spec", "ingress", index)
                yield marked.problem(address, "open-port", what, "write from: ...")
    if kind == "Service" and marked.at("spec.type") in ("LoadBalancer", "NodePort"):
        for index, port in marked.mappings("spec.ports"):
            if any(port.get(key) in COMMAND_PORTS for key in ("port", "targetPort")):
                what = f"port {port.get('port')} can be reached from outside of the cluster"
                address = ("spec", "ports", index)
                yield marked.problem(address, "open-port", what, "write type: ClusterIP")
    if kind == "Secret" and (marked.at("stringData") or marked.at("data")):
        field = "stringData" if marked.at("stringData") else "data"
        what = "a Secret with its content stands in a file"
        yield marked.problem(field, "secret", what, "make it by kubectl create secret")
