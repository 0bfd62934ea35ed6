"""The file of a search space: its path, its format, and messages on mistakes in it."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError

from famus_ray.config.mistakes import joined, shown, what_is_wrong
from famus_ray.config.presets import preset_names, refuse_folder, space_names, spaces_folder
from famus_ray.config.resolve import load_yaml
from famus_ray.errors import UserError, did_you_mean
from famus_ray.spaces.ranges import Range

__all__ = [
    "SpaceFile",
    "parse_ranges",
    "parse_space",
    "read_ranges",
    "space_path",
]

_ADAPTER: TypeAdapter[Range] = TypeAdapter(Range)
_TYPES = ("float", "int", "choice", "constant", "derived")
_A_RANGE = "must be in braces, such as {type: float, low: 0.1, high: 1}"


class SpaceFile(BaseModel):
    """The content of a search space's file."""

    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str = ""
    preset: str
    settings: dict[str, Any] = {}
    space: dict[str, Any] = Field(min_length=1)
    points: list[dict[str, Any]] = []


def space_path(name: str) -> Path:
    """The file of a search space, given by its name or path.

    Raises:
        UserError: no space has this name, and there is no such file.
    """
    if name in space_names():
        return spaces_folder() / f"{name}.yaml"
    path = Path(name)
    if path.is_file():
        return path
    refuse_folder(path)
    hint = did_you_mean(name, space_names()) or f"; there are {', '.join(space_names())}"
    if name in preset_names():
        hint = f"; it is a preset: famus-ray train {name}"
    raise UserError(f"{name}: no such search space{hint}")


def parse_space(content: Mapping[str, Any]) -> tuple[SpaceFile | None, list[str]]:
    """The file's content, None if it is malformed, and the list of problems."""
    try:
        return SpaceFile.model_validate(content), []
    except ValidationError as error:
        return None, [_described(details) for details in error.errors()]


def read_ranges(path: Path) -> dict[str, Range]:
    """The entries in a space's file; its preset is not needed.

    Raises:
        UserError: a malformed entry.
    """
    entries, problems = parse_ranges(load_yaml(path).get("space"))
    if problems:
        raise UserError(joined(str(path), problems))
    return entries


def parse_ranges(content: Any) -> tuple[dict[str, Range], list[str]]:
    """The well-formed entries, by setting, and the problems of the others."""
    entries: dict[str, Range] = {}
    problems: list[str] = []
    for name, entry in content.items() if isinstance(content, dict) else ():
        try:
            entries[str(name)] = _ADAPTER.validate_python(entry)
        except ValidationError as error:
            problems += [_described(details, str(name)) for details in error.errors()]
    return entries, problems


def _described(details: Any, entry: str = "") -> str:
    """A pydantic error as `where: what`, in the file's terms."""
    # Pydantic adds the discriminator, the entry's type, to the location; the file has none there.
    parts = [str(part) for part in details["loc"]]
    parts = [entry, *(parts[1:] if parts and parts[0] in _TYPES else parts)] if entry else parts
    kind, value = details["type"], shown(details["input"])
    where = parts[0] + "".join(f"[{p}]" if p.isdigit() else f".{p}" for p in parts[1:])
    if kind == "union_tag_invalid":
        tag = details["ctx"]["tag"]
        return f"{where}.type = {tag}: must be {', '.join(_TYPES)}{did_you_mean(tag, _TYPES)}"
    if kind == "union_tag_not_found":
        return f"{where}.type: is missing; one of {', '.join(_TYPES)}"
    if kind in ("model_attributes_type", "model_type") or (kind == "dict_type" and not entry):
        return f"{where} = {value}: {_MAPPINGS.get(parts[0], _A_RANGE)}"
    if kind in ("missing", "too_short", "extra_forbidden", "value_error"):
        return f"{where}: {what_is_wrong(details)}"
    return f"{where} = {value}: {what_is_wrong(details)}"


_MAPPINGS = {
    "settings": "must hold settings, such as {method: famus}",
    "space": "must hold settings and their ranges",
    "points": "must hold settings and a value of each",
}
