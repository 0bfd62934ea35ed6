"""The config of a trial: the study's base config with the trial's settings."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

from famus_ray.config.resolve import resolve
from famus_ray.config.schema import Config

__all__ = ["decoded", "trial_config"]


def trial_config(base: Mapping[str, Any], settings: Mapping[str, Any]) -> Config:
    """The study's base config with a trial's settings.

    Args:
        base: by section and key.
        settings: by dotted key.
    """
    nested = {section: dict(values) for section, values in base.items()}
    for name, value in settings.items():
        section, _, key = name.partition(".")
        nested[section][key] = decoded(value)
    return resolve(values=nested).config


def decoded(value: Any) -> Any:
    """A setting's value in a config: the inverse of `ranges.scalar`, which writes lists as JSON."""
    is_list = isinstance(value, str) and value.startswith("[")
    return json.loads(value) if is_list else value
