"""Resolution of a preset, files and overrides into one config with the source of each value."""

from __future__ import annotations

from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from pydantic import ValidationError

from famus_ray.config.contradictions import contradictions
from famus_ray.config.data_settings import DATA_NAMES
from famus_ray.config.mistakes import cut, describe, key_hint, report
from famus_ray.config.presets import own_data, preset_path
from famus_ray.config.schema import MAIN_FIELD, SHORT_NAMES, Config, field_names
from famus_ray.config.yaml_text import parse_yaml, read_text
from famus_ray.errors import UserError

__all__ = [
    "Resolved",
    "flattened",
    "load_yaml",
    "nested",
    "problems_of",
    "resolve",
]

_BEYOND_ALL = 10**300


@dataclass(frozen=True)
class Resolved:
    """A config, and the source of each value by dotted key: a file, `command line`, `default`."""

    config: Config
    sources: dict[str, str]


def resolve(
    preset: str | Path | None = None,
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    values_from: str = "arguments",
) -> Resolved:
    """The config of a preset or YAML file, changed by values and dotted overrides.

    Args:
        preset: a preset's name or a YAML file; None for defaults only.
        overrides: `section.key=value`, as on a command line; the last one wins.
        values: settings as a nested mapping, applied before the overrides.
        values_from: name of the source of `values` in messages.

    Raises:
        UserError: lists the unknown keys and wrong values of all sources.
    """
    found, problems = resolve_values(preset, overrides, values, values_from)
    if found is not None:
        config, sources = found.config, found.sources
        together = contradictions(config, sources)
        problems += [(sources.get(key, "config"), message) for key, message in together]
    if problems or found is None:
        raise UserError(report(problems))
    return found


def resolve_values(
    preset: str | Path | None,
    overrides: Sequence[str],
    values: Mapping[str, Any] | None,
    values_from: str,
) -> tuple[Resolved | None, list[tuple[str, str]]]:
    """The config as in `resolve`, and the problems of single values as pairs (source, message).

    Contradictions between values are not checked. The config is None if a value is wrong.

    Raises:
        UserError: a file or an override that cannot be read.
    """
    layers: list[tuple[str, Mapping[str, Any]]] = []
    if preset is not None:
        content = load_yaml(preset_path(str(preset)))
        if "space" in content:
            raise UserError(f"{preset}: is a search space; try it with `famus-ray tune {preset}`")
        if not content:
            raise UserError(
                f"{preset}: holds no setting; `famus-ray presets show digits` prints one that does"
            )
        layers.append((str(preset), content))
    if values:
        layers.append((values_from, values))
    layers += [("command line", _parse_override(item)) for item in overrides]

    merged: dict[str, Any] = {}
    sources: dict[str, str] = dict.fromkeys(field_names(), "default")
    problems: list[tuple[str, str]] = []
    for source, layer in layers:
        for key, value in _flatten(layer):
            if key in sources:
                merged[key], sources[key] = value, source
            else:
                problems.append((source, f"{cut(key)}: unknown key{key_hint(key)}"))
    config, invalid = _validate(merged)
    problems += [(sources.get(key, "config"), message) for key, message in invalid]
    return None if config is None else Resolved(config, sources), problems


def problems_of(values: Mapping[str, Any], sources: Mapping[str, str]) -> list[str]:
    """The problems of values, given by dotted key, that would stop a run."""
    config, invalid = _validate(values)
    if config is not None:
        invalid = list(contradictions(config, sources))
    return [message for _, message in invalid]


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file; empty for an empty file.

    Raises:
        UserError: the file cannot be read, has a mistake (with its line), or is not a mapping.
    """
    loaded = parse_yaml(read_text(path), str(path))
    if loaded is None:  # an empty file
        return {}
    if not isinstance(loaded, dict):
        raise UserError(f"{path}: must hold `section:` entries, not a {type(loaded).__name__}")
    return {str(key): value for key, value in loaded.items()}


def _parse_override(item: str) -> dict[str, Any]:
    key, equals, value = (part.strip() for part in item.partition("="))
    if not equals or not key:
        hint = "" if item in field_names() else key_hint(item)
        raise UserError(f"command line: {cut(item)!r}: expected key=value{hint}")
    parsed = parse_yaml(value, f"command line: {key}", lines=False)
    section, dot, name = key.partition(".")
    return {section: {name: parsed}} if dot else {key: parsed}


def flattened(layer: Mapping[str, Any]) -> dict[str, Any]:
    """Settings by section and key, as in a file, as a mapping by dotted key."""
    return dict(_flatten(layer))


def nested(flat: Mapping[str, Any]) -> dict[str, Any]:
    """The inverse of `flattened`."""
    found: dict[str, Any] = {}
    for name, value in flat.items():
        section, dot, key = name.partition(".")
        if dot:
            found.setdefault(section, {})[key] = value
        else:
            found[name] = value
    return found


def _flatten(layer: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for section, content in layer.items():
        if isinstance(content, Mapping):
            yield from ((f"{section}.{key}", value) for key, value in content.items())
        elif section in SHORT_NAMES:
            yield SHORT_NAMES[section], content
        elif section == "data" and (place := _own_data(content)) is not None:
            yield from (("data.name", "own"), ("data.root", str(place)))
        elif section in MAIN_FIELD:
            yield f"{section}.{MAIN_FIELD[section]}", content
        elif content is not None or section not in Config.model_fields:
            yield section, content


def _own_data(content: Any) -> Path | None:
    """The folder or table that `data=FOLDER` names; a data set's name stays one beside it."""
    is_name = not isinstance(content, str) or content in DATA_NAMES
    return None if is_name else own_data(content)


def _within_reach(value: Any) -> Any:
    """The value, with huge whole numbers replaced by one that is beyond every setting's bounds.

    Python does not print numbers of thousands of digits, and floats cannot hold them.
    """
    if isinstance(value, list | tuple):
        return [_within_reach(entry) for entry in value]
    if isinstance(value, int) and abs(value) > _BEYOND_ALL:
        return _BEYOND_ALL if value > 0 else -_BEYOND_ALL
    return value


def _validate(merged: Mapping[str, Any]) -> tuple[Config | None, list[tuple[str, str]]]:
    nested: dict[str, dict[str, Any]] = {}
    for key, value in merged.items():
        section, _, name = key.partition(".")
        nested.setdefault(section, {})[name] = _within_reach(value)
    try:
        return Config.model_validate(nested), []
    except ValidationError as error:
        return None, [describe(details, merged) for details in error.errors()]
