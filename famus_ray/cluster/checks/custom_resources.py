"""KubeRay's kinds, RayJob, RayCluster and others, as strict JSON Schemas.

Kubernetes drops unknown fields silently; here they are problems. The definitions are KubeRay's own,
in `famus_ray/cluster/kuberay`.
"""

from __future__ import annotations

import gzip
import json
from functools import cache
from pathlib import Path
from typing import Any

__all__ = ["KINDS", "VERSION", "schema_of"]

KINDS = ("RayCluster", "RayCronJob", "RayJob", "RayService")
VERSION = "ray.io/v1"

_FOLDER = Path(__file__).parents[1] / "kuberay"


@cache
def schema_of(kind: str) -> dict[str, Any]:
    """The strict JSON Schema of one of KubeRay's kinds."""
    path = _FOLDER / f"ray.io_{kind.lower()}s.json.gz"
    definition = json.loads(gzip.decompress(path.read_bytes()))
    found: dict[str, Any] = definition["spec"]["versions"][0]["schema"]["openAPIV3Schema"]
    schema: dict[str, Any] = _strict(found)
    schema["required"] = ["apiVersion", "kind", "metadata", "spec"]
    return schema


def _strict(schema: Any) -> Any:
    """A schema of Kubernetes as a JSON Schema under which unknown fields are errors."""
    if not isinstance(schema, dict):
        return schema
    if schema.get("x-kubernetes-int-or-string"):
        return {"type": ["integer", "string"]}
    found = {key: schema[key] for key in ("type", "enum", "required", "minimum") if key in schema}
    if "items" in schema:
        found["items"] = _strict(schema["items"])
    if "properties" in schema:
        found["properties"] = {k: _strict(v) for k, v in schema["properties"].items()}
    if isinstance(others := schema.get("additionalProperties"), dict):
        found["additionalProperties"] = _strict(others)
    elif "properties" in schema and not schema.get("x-kubernetes-preserve-unknown-fields"):
        found["additionalProperties"] = False
    return found
