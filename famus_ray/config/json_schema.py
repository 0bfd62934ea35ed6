"""The JSON Schema of a preset, with which editors complete keys and show their meaning."""

from __future__ import annotations

from typing import Any

from famus_ray.config.schema import MAIN_FIELD, SHORT_NAMES, Config

__all__ = ["json_schema"]


def json_schema() -> dict[str, Any]:
    """The JSON Schema (2020-12) of a preset's YAML, including short forms as `method: famus`."""
    schema = Config.model_json_schema()
    schema["$schema"] = "https://json-schema.org/draft/2020-12/schema"
    schema["title"] = "famus_ray settings"
    for section, field in MAIN_FIELD.items():
        properties = schema["properties"][section]
        definition = schema["$defs"][properties["$ref"].rpartition("/")[2]]
        short = {k: v for k, v in definition["properties"][field].items() if k != "default"}
        schema["properties"][section] = {"anyOf": [properties, short]}
    for short_name, setting in SHORT_NAMES.items():
        section, _, field = setting.partition(".")
        definition = schema["properties"][section]["anyOf"][0]["$ref"].rpartition("/")[2]
        schema["properties"][short_name] = schema["$defs"][definition]["properties"][field]
    return schema
