"""Cluster files of Ray's launcher: Ray's own schema, and Ray's own word."""

from __future__ import annotations

import contextlib
import copy
import importlib.util
import io
import json
import logging
from pathlib import Path
from typing import Any

from famus_ray.cluster.checks.json_schema import schema_problems
from famus_ray.cluster.problem import Problem
from famus_ray.cluster.yaml_lines import Marked
from famus_ray.errors import did_you_mean, first_line

__all__ = ["PROVIDERS", "check_schema", "node_types"]

PROVIDERS = ("aws", "azure", "gcp", "local")


def node_types(marked: Marked) -> dict[str, dict[str, Any]]:
    """The node types of a file by name; those that are no mappings left out."""
    found = marked.mapping("available_node_types").items()
    return {str(name): kind for name, kind in found if isinstance(kind, dict)}


def check_schema(marked: Marked) -> list[Problem]:
    """Problems under Ray's schema; if there are none, what Ray itself says to the file."""
    provider = marked.at("provider.type")
    if provider not in PROVIDERS:
        what = (
            f"provider.type = {provider!r}: not supported{did_you_mean(str(provider), PROVIDERS)}"
        )
        return [marked.problem("provider.type", "provider", what, f"one of {', '.join(PROVIDERS)}")]
    content = _filled(marked.content)
    return schema_problems(marked, (), content, _schema(), "ray-schema") or _by_ray(marked, content)


def _schema() -> dict[str, Any]:
    """Ray's schema of cluster files, read without importing Ray."""
    found = importlib.util.find_spec("ray")
    assert found is not None  # famus_ray requires it
    assert found.origin is not None
    path = Path(found.origin).parent / "autoscaler" / "ray-schema.json"
    schema: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    return schema


def _filled(content: Any) -> Any:
    """A copy of a file's content with what Ray fills in for AWS by asking AWS."""
    content = copy.deepcopy(content)
    if content["provider"]["type"] == "aws" and isinstance(
        types := content.get("available_node_types"), dict
    ):
        for kind in types.values():
            if isinstance(kind, dict):
                kind.setdefault("resources", {})
    return content


def _by_ray(marked: Marked, content: Any) -> list[Problem]:
    """What Ray's own preparation and validation raise, if anything."""
    from ray.autoscaler._private.util import prepare_config, validate_config

    said = io.StringIO()
    logging.getLogger("ray.autoscaler").setLevel(logging.ERROR)
    try:
        with contextlib.redirect_stdout(said), contextlib.redirect_stderr(said):
            validate_config(prepare_config(copy.deepcopy(content)))
    except Exception as error:  # noqa: BLE001 - whatever Ray would end with
        what = f"Ray refuses the file: {first_line(error)}"
        return [marked.problem((), "ray", what, "see Ray's reference of cluster files")]
    return []
