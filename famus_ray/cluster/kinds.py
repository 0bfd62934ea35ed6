"""The kind of a cluster file, from what is in it."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import yaml

from famus_ray.cluster.provider import Provider
from famus_ray.config.yaml_text import read_text
from famus_ray.errors import UserError

__all__ = ["KINDS", "kind_of", "provider_of"]

KINDS = {
    "ray": "cluster_name and provider: a file of Ray's launcher",
    "kubernetes": "apiVersion and kind, or a folder with kustomization.yaml",
    "slurm": "#!/bin/bash and #SBATCH lines: a batch script",
    "skypilot": "run, and setup or resources: a task of SkyPilot",
}


def kind_of(path: Path) -> str:
    """The kind of a cluster file, a key of `KINDS`.

    Raises:
        UserError: there is no such file, or it is of no known kind.
    """
    if path.is_dir():
        if (path / "kustomization.yaml").is_file():
            return "kubernetes"
        raise UserError(f"{path}: a folder without kustomization.yaml; name a file in it")
    text = read_text(path)
    if text.startswith("#!"):
        if "\n#SBATCH" in text:
            return "slurm"
        raise UserError(f"{path}: a script without #SBATCH lines; a batch script of Slurm has some")
    keys = _first_keys(text)
    if keys >= {"cluster_name", "provider"}:
        return "ray"
    if keys >= {"apiVersion", "kind"}:
        return "kubernetes"
    if "run" in keys and keys & {"setup", "resources", "num_nodes"}:
        return "skypilot"
    known = "; ".join(KINDS.values())
    raise UserError(f"{path}: not a cluster's file; one has {known}")


def provider_of(path: Path) -> Provider:
    """What starts the cluster of a file.

    Raises:
        UserError: there is no such file, or it is of no known kind.
    """
    from famus_ray.cluster.kubernetes import Kubernetes
    from famus_ray.cluster.ray_launcher import RayLauncher
    from famus_ray.cluster.skypilot import SkyPilot
    from famus_ray.cluster.slurm import Slurm

    providers: dict[str, type[Provider]] = {
        "ray": RayLauncher,
        "kubernetes": Kubernetes,
        "slurm": Slurm,
        "skypilot": SkyPilot,
    }
    return providers[kind_of(path)]()


def _first_keys(text: str) -> set[str]:
    """The keys of the first YAML document that has some; none if the YAML is damaged."""
    try:
        documents: list[Any] = list(yaml.safe_load_all(text))
    except yaml.YAMLError:
        # The check of the file says what is wrong; its kind is seen from the lines themselves.
        return {line.partition(":")[0] for line in text.splitlines() if line[:1].isalpha()}
    found = next((document for document in documents if isinstance(document, dict)), {})
    return set(map(str, found))
