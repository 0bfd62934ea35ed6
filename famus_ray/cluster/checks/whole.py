"""Every check that a cluster file's kind calls for."""

from __future__ import annotations

from pathlib import Path

from famus_ray.cluster.checks import aws, azure, core_kinds, gcp
from famus_ray.cluster.checks.kubernetes import check_documents, check_folder, renderer
from famus_ray.cluster.checks.kustomization import KUSTOMIZATION, parts_of
from famus_ray.cluster.checks.ray_file import check_schema
from famus_ray.cluster.checks.safety import check_placeholders, check_safety
from famus_ray.cluster.checks.secrets import check_secrets
from famus_ray.cluster.checks.skypilot import check_skypilot
from famus_ray.cluster.checks.slurm_file import check_slurm, is_slurm
from famus_ray.cluster.checks.versions import check_versions
from famus_ray.cluster.problem import Problem
from famus_ray.cluster.yaml_lines import Marked, read
from famus_ray.config.yaml_text import read_text
from famus_ray.errors import UserError

__all__ = ["check_file", "left_out"]

_OF_PROVIDER = {"aws": aws.check_aws, "azure": azure.check_azure, "gcp": gcp.check_gcp}
_RAY = {"cluster_name", "provider", "available_node_types", "head_node_type"}
_SKYPILOT = {"resources", "run", "setup", "num_nodes", "workdir"}
_INSTALL = "pip install 'famus-ray[train,cluster]'"


def check_file(path: Path) -> list[Problem]:
    """Every problem of a cluster file or folder of kustomize, by file and line; empty if none.

    Raises:
        UserError: it cannot be read, or is of no known kind.
    """
    if path.is_dir():
        if not (path / KUSTOMIZATION).is_file():
            raise UserError(f"{path}: a folder without {KUSTOMIZATION}; give a file")
        return check_folder(path)
    text = read_text(path)
    if is_slurm(path, text):
        return check_slurm(path, text)
    found = read(path)
    if not found.documents and not found.problems:
        raise UserError(f"{path}: is empty")
    problems = list(found.problems)
    kinds = {_kind(marked) for marked in found.documents}
    if "kubernetes" in kinds:
        beside = [d for part in parts_of(path.parent) if part != path for d in read(part).documents]
        problems += check_documents(found.documents, beside)
    for marked in found.documents if "kubernetes" not in kinds else ():
        problems += _ray(marked) if _kind(marked) == "ray" else check_skypilot(marked)
    return sorted(set(problems))


def left_out(path: Path) -> list[str]:
    """What could not be checked on this machine, and what to install for it; may be empty."""
    if path.is_dir():
        kinds = {"kubernetes"}
    elif is_slurm(path, read_text(path)):
        kinds = {"slurm"}
    else:
        kinds = {str(m.at("provider.type") or _kind(m)) for m in read(path).documents}
    notes = []
    for kind, here, whose in (
        ("aws", aws.described(), "AWS's own description of a machine"),
        ("gcp", gcp.described(), "Google's own description of a machine"),
        ("kubernetes", core_kinds.described(), "Kubernetes' own kinds"),
    ):
        if kind in kinds and not here:
            notes.append(f"not checked against {whose}: {_INSTALL}")
    if path.is_dir() and renderer() is None:
        notes.append("not rendered, so not checked with its patches: install kubectl")
    return notes


def _kind(marked: Marked) -> str:
    """The kind of a document: ray, kubernetes or skypilot."""
    keys = set(marked.content) if isinstance(marked.content, dict) else set()
    if "AWSTemplateFormatVersion" in keys:
        what = "a template of CloudFormation, no cluster file"
        raise UserError(f"{marked.path}: {what}; check the file of the cluster")
    if {"apiVersion", "kind"} <= keys:
        return "kubernetes"
    if keys & _RAY:
        return "ray"
    if keys & _SKYPILOT:
        return "skypilot"
    raise UserError(
        f"{marked.path}: no cluster file: expected the keys cluster_name and provider (Ray), "
        "apiVersion and kind (Kubernetes), or resources and run (SkyPilot), or #SBATCH (Slurm)"
    )


def _ray(marked: Marked) -> list[Problem]:
    problems = [*check_schema(marked), *check_safety(marked), *check_placeholders(marked)]
    problems += [*check_secrets(marked), *check_versions(marked)]
    if check := _OF_PROVIDER.get(str(marked.at("provider.type"))):
        problems += check(marked)
    return problems
