"""What Hugging Face's data sets write into a Parquet file's schema: images and class names."""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

import pyarrow as pa

from famus_ray.data.own.arrow_text import is_binary

__all__ = ["class_names", "holds_images", "only_column"]


def _features(schema: pa.Schema) -> dict[str, dict[str, Any]]:
    """The described columns by name; none without a description that can be read."""
    try:
        features = json.loads((schema.metadata or {})[b"huggingface"])["info"]["features"]
        return {name: value for name, value in features.items() if isinstance(value, dict)}
    except (KeyError, TypeError, ValueError, AttributeError):
        return {}


def only_column(schema: pa.Schema, kind: str) -> str | None:
    """The only column of a kind, `Image` or `ClassLabel`; None if there is none or several."""
    names = [name for name, value in _features(schema).items() if value.get("_type") == kind]
    return names[0] if len(names) == 1 and names[0] in schema.names else None


def class_names(schema: pa.Schema, column: str) -> tuple[str, ...] | None:
    """The names of a ClassLabel column's classes; None for other columns.

    A name that several classes have gets the class's number behind it: `crane (134)`.
    """
    feature = _features(schema).get(column, {})
    names = feature.get("names")
    if feature.get("_type") != "ClassLabel" or not isinstance(names, list) or not names:
        return None
    count = Counter(map(str, names))
    return tuple(
        f"{name} ({number})" if count[str(name)] > 1 else str(name)
        for number, name in enumerate(names)
    )


def holds_images(kind: pa.DataType) -> bool:
    """Whether an Arrow type is a struct with encoded images, `{bytes, path}`."""
    if not pa.types.is_struct(kind) or kind.get_field_index("bytes") < 0:
        return False
    inner = kind.field("bytes").type
    return is_binary(inner) or bool(pa.types.is_null(inner))
