"""The search space of an existing study, read from its folder."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from famus_ray.config.mistakes import joined
from famus_ray.config.resolve import Resolved, flattened, load_yaml, resolve, resolve_values
from famus_ray.errors import UserError
from famus_ray.records.ledger import read_events
from famus_ray.spaces.space import Space
from famus_ray.spaces.space_changes import Opening
from famus_ray.spaces.space_checks import base_problems, space_problems
from famus_ray.spaces.space_file import parse_ranges, parse_space

__all__ = ["last_opening", "saved_space"]


def saved_space(path: Path, overrides: tuple[str, ...] = ()) -> Space:
    """The search space of the study in the folder `path`, with the study's settings.

    It is read from the current space.yaml. If the file was edited since the study was last
    opened, it is checked as at the start of a study, and edited settings override config.yaml.

    Args:
        path: the study's folder.
        overrides: `section.key=value` from the command line.

    Raises:
        UserError: the folder holds no study, or its space.yaml is not valid.
    """
    for name in ("space.yaml", "config.yaml"):
        if not (path / name).is_file():
            raise UserError(f"{path}: no study to go on with: it has no {name}")
    file = path / "space.yaml"
    content, before = load_yaml(file), last_opening(path)
    entries, problems = parse_ranges(content.get("space"))
    parsed, malformed = parse_space(content)
    if parsed is None:
        raise UserError(joined(str(file), [*malformed, *problems]))
    problems += space_problems(entries, parsed.space, parsed.points)
    edited = _edited(parsed.settings, before.space if before else content)
    found, wrong = resolve_values(path / "config.yaml", overrides, edited, str(file))
    problems += [m if source == str(file) else f"{source}: {m}" for source, m in wrong]
    if found is not None and before is not None and before.space != content:
        # Settings that were valid at the study's start stay valid, whatever their source.
        chosen = {**dict.fromkeys(found.sources, "command line"), "study.trials": "default"}
        problems += base_problems(entries, parsed.points, Resolved(found.config, chosen))
    if problems or found is None:
        raise UserError(joined(str(file), problems))
    base = resolve(path / "config.yaml", overrides, edited, values_from=str(file))
    name, text = path.name.removeprefix("study-"), file.read_text("utf-8")
    return Space(name, text, parsed.about, base, entries, parsed.points)


def _edited(settings: Mapping[str, Any], before: Mapping[str, Any]) -> dict[str, Any]:
    """The settings that differ from the space file's content `before`, by section and key."""
    now, then = flattened(settings), flattened(before.get("settings") or {})
    changed: dict[str, dict[str, Any]] = {}
    for name, value in now.items():
        section, _, key = name.partition(".")
        if key and (name not in then or then[name] != value):
            changed.setdefault(section, {})[key] = value
    return changed


def last_opening(study: Path) -> Opening | None:
    """The space and config that the study was last opened with.

    None where its ledger has no such event, as in studies of older versions.
    """
    events = [e for e in read_events(study / "ledger.jsonl") if e["event"] == "space"]
    return Opening(events[-1]["space"], flattened(events[-1]["base"])) if events else None
