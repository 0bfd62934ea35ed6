"""From a preset, files and overrides to one config that knows where each value came from."""

from __future__ import annotations

import json
from collections.abc import Iterator, Mapping, Sequence
from dataclasses import dataclass
from functools import cache
from pathlib import Path
from typing import Any

import yaml
from omegaconf import OmegaConf
from omegaconf.errors import OmegaConfBaseException
from pydantic import BaseModel, ValidationError

from famus_ray.config.contradictions import contradictions
from famus_ray.config.schema import Config
from famus_ray.errors import UserError, did_you_mean, near, suggestion

__all__ = [
    "MAIN_FIELD",
    "Resolved",
    "field_names",
    "key_hint",
    "load_yaml",
    "preset_names",
    "preset_path",
    "resolve",
]

_PRESETS = Path(__file__).parent.parent / "presets"

# A section given as a plain word means this field of it: `method=famus`, `noise=symmetric`.
MAIN_FIELD = {
    "data": "name", "noise": "kind", "model": "name", "method": "name", "schedule": "kind",
    "loss": "kind",
}  # fmt: skip


@dataclass(frozen=True)
class Resolved:
    """A config, and by dotted key the source of each value: a file, the command line, default."""

    config: Config
    sources: dict[str, str]


def preset_names() -> list[str]:
    """Names of the presets that come with the package, sorted."""
    return sorted(path.stem for path in _PRESETS.glob("*.yaml"))


def preset_path(name: str) -> Path:
    """The file of a preset by its name, or `name` itself where it is a YAML file.

    Raises:
        UserError: neither a preset nor a file.
    """
    if name in preset_names():
        return _PRESETS / f"{name}.yaml"
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path
    what = "file not found" if path.suffix in (".yaml", ".yml") else "unknown preset"
    hint = did_you_mean(name, preset_names()) or f"; there are {', '.join(preset_names())}"
    from famus_ray.config.space import space_names

    if name in space_names():
        hint = f"; it is a search space: famus-ray tune {name}"
    raise UserError(f"{name}: {what}{hint}")


def resolve(
    preset: str | Path | None = None,
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    values_from: str = "arguments",
) -> Resolved:
    """The config of a preset or YAML file, changed by values and dotted overrides.

    Args:
        preset: a preset's name or a YAML file; defaults alone when None.
        overrides: `section.key=value`, as on a command line; the last wins.
        values: the same as a (nested) mapping, applied before the overrides.
        values_from: what messages call the source of `values`.

    Raises:
        UserError: every unknown key and value out of range, of all sources at once.
    """
    layers: list[tuple[str, Mapping[str, Any]]] = []
    if preset is not None:
        content = load_yaml(preset_path(str(preset)))
        if "space" in content:
            raise UserError(f"{preset}: is a search space; try it with `famus-ray tune {preset}`")
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
                problems.append((source, f"{key}: unknown key{key_hint(key)}"))
    config, invalid = _validate(merged, sources)
    problems += [(sources.get(key, "config"), message) for key, message in invalid]
    if problems or config is None:
        raise UserError(_report(problems))
    return Resolved(config, sources)


def load_yaml(path: Path) -> dict[str, Any]:
    """The mapping in a YAML file, read safely: no tag runs code.

    Raises:
        UserError: the file cannot be read, has a syntax error (with its line), holds a
            tag such as `!!python/object`, or is not a mapping.
    """
    try:
        loaded = OmegaConf.to_container(OmegaConf.load(path))
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"line {mark.line + 1}: " if mark else ""
        raise UserError(f"{path}: {line}{error.problem or error.context}") from error
    except (yaml.YAMLError, OmegaConfBaseException, UnicodeDecodeError) as error:
        raise UserError(f"{path}: {str(error).splitlines()[0]}") from error
    if not isinstance(loaded, dict):
        raise UserError(f"{path}: must hold `section:` entries, not a {type(loaded).__name__}")
    return {str(key): value for key, value in loaded.items()}


@cache
def field_names() -> tuple[str, ...]:
    """Every setting by its dotted key, in the order of the schema."""
    names = []
    for section, field in Config.model_fields.items():
        assert isinstance(field.annotation, type)
        assert issubclass(field.annotation, BaseModel)
        names += [f"{section}.{name}" for name in field.annotation.model_fields]
    return tuple(names)


def _parse_override(item: str) -> dict[str, Any]:
    key, equals, value = item.partition("=")
    item = f"{key.strip()}{equals}{value}"
    if not equals or not key.strip():
        hint = "" if item in field_names() else key_hint(item)
        raise UserError(f"command line: {item!r}: expected key=value{hint}")
    try:
        parsed = OmegaConf.to_container(OmegaConf.from_dotlist([item]))
    except (yaml.YAMLError, OmegaConfBaseException) as error:
        raise UserError(f"command line: {str(error).splitlines()[0]}") from error
    assert isinstance(parsed, dict)
    return {str(key): value for key, value in parsed.items()}


def _flatten(layer: Mapping[str, Any]) -> Iterator[tuple[str, Any]]:
    for section, content in layer.items():
        if isinstance(content, Mapping):
            yield from ((f"{section}.{key}", value) for key, value in content.items())
        elif section in MAIN_FIELD:
            yield f"{section}.{MAIN_FIELD[section]}", content
        elif content is not None or section not in Config.model_fields:
            yield section, content


def _validate(
    merged: Mapping[str, Any], sources: Mapping[str, str]
) -> tuple[Config | None, list[tuple[str, str]]]:
    nested: dict[str, dict[str, Any]] = {}
    for key, value in merged.items():
        section, _, name = key.partition(".")
        nested.setdefault(section, {})[name] = value
    try:
        config = Config.model_validate(nested)
    except ValidationError as error:
        return None, [_describe(details) for details in error.errors()]
    return config, list(contradictions(config, sources))


_MESSAGES = {  # of pydantic's kinds of errors, in the words of people who write settings
    "greater_than": "must be > {gt}",
    "greater_than_equal": "must be >= {ge}",
    "less_than": "must be < {lt}",
    "less_than_equal": "must be <= {le}",
    "literal_error": "must be {expected}",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "tuple_type": "must be a list in brackets",
}


def _describe(details: Any) -> tuple[str, str]:
    section, name = (str(part) for part in details["loc"][:2])
    key, value = f"{section}.{name}", details["input"]
    context = details.get("ctx", {})
    message = _MESSAGES.get(details["type"], details["msg"].removeprefix("Value error, "))
    message = message.format(**context)
    if details["type"] == "literal_error":
        message += did_you_mean(str(value), str(context["expected"]).split("'")[1::2])
    elif message.endswith("number") and (usual := _default(section, name)) is not None:
        message += f", such as {usual}"
    shown = json.dumps(value) if value is None or isinstance(value, bool) else value
    return key, f"{key} = {shown}: {message}"


def _default(section: str, name: str) -> Any:
    return getattr(getattr(Config(), section), name)


def _report(problems: Sequence[tuple[str, str]]) -> str:
    lines = []
    for source in dict.fromkeys(source for source, _ in problems):
        found = [message for origin, message in problems if origin == source]
        count = "" if len(found) == 1 else f"{len(found)} problems — "
        lines.append(f"{source}: {count}{'; '.join(found)}")
    return "\n".join(lines)


def key_hint(key: str) -> str:
    """The end of a message about a setting that there is not: the ones that may be meant."""
    section, _, name = key.partition(".")
    if section in Config.model_fields:
        inside = [n.partition(".")[2] for n in field_names() if n.startswith(f"{section}.")]
        if not name:
            return f": it is a section; set one of its keys, such as {section}.{inside[0]}"
        close = [f"{section}.{n}" for n in near(name, inside)]
        return suggestion(close) or f"; {section} has {', '.join(inside)}"
    by_last_word: dict[str, list[str]] = {}
    for known in field_names():
        by_last_word.setdefault(known.partition(".")[2], []).append(known)
    last = name or section
    meant = [] if name else by_last_word.get(last, [])
    meant = meant or near(key, [*field_names(), *MAIN_FIELD]) or by_last_word.get(last, [])
    meant = meant or [
        known for word in near(last, by_last_word, cutoff=0.75) for known in by_last_word[word]
    ]
    return suggestion(meant) or f"; sections are {', '.join(Config.model_fields)}"
