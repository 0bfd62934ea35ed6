"""A search space for the user's own images: its preset makes way for settings chosen by them."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

from famus_ray.config.resolve import flattened, load_yaml, nested, resolve_values
from famus_ray.data.own.choices import choices_for
from famus_ray.data.own.handed import HandedData
from famus_ray.spaces.space import Space, load_space
from famus_ray.spaces.space_file import parse_space, space_path

__all__ = ["space_for"]


def space_for(
    name: str,
    overrides: tuple[str, ...] = (),
    values: Mapping[str, Any] | None = None,
    handed: HandedData | None = None,
) -> tuple[Space, tuple[str, ...]]:
    """A search space, and lines for the user on the data and on what was chosen by them.

    Where `data.name` is own, the preset is `own` instead of the file's, and what neither the
    file nor the user sets is chosen by the images, as for a single run.

    Args:
        name: of a space, or its file's path.
        overrides: `section.key=value` from the command line.
        values: settings as a nested mapping, which replace those of the file.
        handed: the images, where they are in memory.

    Raises:
        UserError: lists all problems of the file; or problems of the data.
    """
    file, _ = parse_space(load_yaml(space_path(name)))
    if file is None:
        return load_space(name, overrides, values), ()
    settings = nested({**flattened(file.settings), **flattened(values or {})})
    found, _ = resolve_values(file.preset, overrides, settings, name)
    if found is None or found.config.data.name != "own":
        return load_space(name, overrides, values), ()
    alone, _ = resolve_values(file.preset, (), None, name)
    is_own = alone is not None and alone.config.data.name == "own"
    preset = file.preset if is_own else "own"
    own, _ = resolve_values(preset, overrides, settings, name)
    choices, told = ([], ()) if own is None else choices_for(own, handed)
    chosen = {choice.key: choice.value for choice in choices}
    space = load_space(name, overrides, values, preset, chosen)
    space.base.sources.update({c.key: f"chosen: {c.reason}" for c in choices})
    return space, told
