"""Folders of kustomize: their `kustomization.yaml`, and the files that belong to them."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from famus_ray.cluster.checks.json_schema import schema_problems
from famus_ray.cluster.problem import Problem
from famus_ray.cluster.yaml_lines import Marked, read

__all__ = ["KUSTOMIZATION", "check_kustomization", "parts_of"]

KUSTOMIZATION = "kustomization.yaml"

_FIELDS = tuple(
    re.findall(
        r"\S+",
        """
        apiVersion kind metadata resources components patches images labels namespace namePrefix
        nameSuffix commonAnnotations configMapGenerator secretGenerator generatorOptions
        replicas replacements configurations crds generators transformers validators
        buildMetadata sortOptions helmCharts helmGlobals openapi
        """,
    )
)
_PATCH = ("path", "patch", "target", "options")
_IMAGE = ("name", "newName", "newTag", "digest", "tagSuffix")


def _only(names: tuple[str, ...]) -> dict[str, Any]:
    fields = {"type": "object", "properties": {name: {} for name in names}}
    return {"type": "array", "items": fields | {"additionalProperties": False}}


_SCHEMA = {
    "type": "object",
    "properties": {name: {} for name in _FIELDS}
    | {"resources": {"type": "array", "items": {"type": "string"}}}
    | {"patches": _only(_PATCH), "images": _only(_IMAGE)},
    "additionalProperties": False,
}


def check_kustomization(marked: Marked) -> list[Problem]:
    """Problems of a `kustomization.yaml`: unknown fields, files that are not there, images."""
    problems = schema_problems(marked, (), marked.content, _SCHEMA, "kustomize")
    for index, name in enumerate(marked.items("resources")):
        if "://" not in str(name) and not (marked.path.parent / str(name)).exists():
            what, mend = f"resources: there is no {name}", "correct the path, from this folder"
            problems.append(marked.problem(("resources", index), "not-there", what, mend))
    for index, image in marked.mappings("images"):
        if "digest" not in image and str(image.get("newTag", "latest")) == "latest":
            what = f"image {image.get('newName', image.get('name'))}: another one tomorrow"
            mend = "write newTag: 0.1.0, or a digest"
            problems.append(marked.problem(("images", index), "image", what, mend))
    return problems


def parts_of(folder: Path) -> Iterator[Path]:
    """The files of a folder of kustomize, and of the folders that it names."""
    file = folder / KUSTOMIZATION
    if not file.is_file():
        return
    yield file
    for marked in read(file).documents:
        for name in marked.items("resources"):
            path = folder / str(name)
            if path.is_dir():
                yield from parts_of(path.resolve())
            elif path.is_file():
                yield path
