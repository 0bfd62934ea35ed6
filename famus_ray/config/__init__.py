"""Settings: the schema of a run, and the resolution of presets and overrides into one config."""

from famus_ray.config.presets import preset_names, preset_path
from famus_ray.config.resolve import Resolved, resolve
from famus_ray.config.schema import Config

__all__ = ["Config", "Resolved", "preset_names", "preset_path", "resolve"]
