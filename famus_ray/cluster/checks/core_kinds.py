"""Kubernetes' own kinds, such as NetworkPolicy, as strict JSON Schemas.

They are drawn from the models of the Python client, where the package `kubernetes` is installed.
"""

from __future__ import annotations

import importlib.util
import re
from functools import cache
from typing import Any

__all__ = ["described", "schema_of"]

_LIST, _DICT = re.compile(r"list\[(.*)\]"), re.compile(r"dict\(str, (.*)\)|dict\[str, (.*)\]")
_PLAIN = {"str": "string", "int": "integer", "float": "number", "bool": "boolean"}
_QUANTITIES = ("limits", "requests", "capacity")  # of kind text, where a number does as well


def described() -> bool:
    """Whether the package that describes these kinds is installed here."""
    return importlib.util.find_spec("kubernetes") is not None


@cache
def schema_of(version: str, kind: str) -> dict[str, Any] | None:
    """The strict JSON Schema of a kind, or None if the client has no such kind.

    Args:
        version: the API version, such as `networking.k8s.io/v1`.
        kind: the kind.
    """
    from kubernetes.client import models

    name = version.rpartition("/")[2].capitalize() + kind
    if not hasattr(models, name):
        return None
    schemas: dict[str, Any] = {}
    _add(models, name, schemas)
    return {"$ref": f"#/$defs/{name}", "$defs": schemas}


def _add(models: Any, name: str, schemas: dict[str, Any]) -> None:
    """Add the schema of a model, and those of the models that it refers to."""
    model = getattr(models, name)
    schemas[name] = {"type": "object", "additionalProperties": False}
    schemas[name]["properties"] = {
        written: _schema(models, model.openapi_types[attribute], schemas, written)
        for attribute, written in model.attribute_map.items()
    }


def _schema(models: Any, kind: str, schemas: dict[str, Any], field: str) -> dict[str, Any]:
    if found := _LIST.fullmatch(kind):
        return {"type": "array", "items": _schema(models, found[1], schemas, field)}
    if found := _DICT.fullmatch(kind):
        values = _schema(models, found[1] or found[2], schemas, field)
        return {"type": "object", "additionalProperties": values}
    if kind in _PLAIN:
        return {"type": ["string", "number"] if field in _QUANTITIES else _PLAIN[kind]}
    if not hasattr(getattr(models, kind, None), "openapi_types"):
        return {}  # a date, or a number or text
    if kind not in schemas:
        _add(models, kind, schemas)
    return {"$ref": f"#/$defs/{kind}"}
