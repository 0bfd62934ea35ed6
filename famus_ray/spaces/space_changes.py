"""Changes of a study's space and settings, and which of them are refused."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from typing import Any

from famus_ray.config.mistakes import shown
from famus_ray.spaces.ranges import Range, Searched, span
from famus_ray.spaces.space_checks import is_of_a_trial
from famus_ray.spaces.space_file import parse_ranges

__all__ = ["Opening", "changes", "refused_changes", "refused_values"]

_OBJECTIVES = ("study.metric", "study.minimise", "study.constraints", "study.seeds")
_FREE = ("run.name", "run.root", "run.threads", "run.checkpoint_every", "run.device", "run.track",
         "data.root")  # fmt: skip
_DATA = ("data.", "noise.")


@dataclass(frozen=True)
class Opening:
    """The space and config that a study was opened with.

    Attributes:
        space: the content of its space.yaml.
        base: the config that every trial starts from, by dotted key.
    """

    space: Mapping[str, Any]
    base: Mapping[str, Any]

    @property
    def entries(self) -> dict[str, Range]:
        """The entries of the space, by setting."""
        return parse_ranges(self.space.get("space"))[0]


def changes(before: Opening, now: Opening) -> list[str]:
    """Messages for the user on the changes since the study was last opened."""
    old, new = before.entries, now.entries
    found = []
    for name in dict.fromkeys([*old, *new]):
        if name not in new:
            found.append(f"{name} is no longer searched, and {shown(now.base[name])}")
        elif name not in old:
            found.append(f"{name} is searched ({span(new[name])})")
        elif old[name] != new[name]:
            found.append(f"{name} is {span(new[name])}, was {span(old[name])}")
    for name, value in now.base.items():
        was = before.base.get(name, value)
        if is_of_a_trial(name) and was != value and name not in {*old, *new}:
            found.append(f"{name} is {shown(value)}, was {shown(was)}")
    if (before.space.get("points") or []) != (now.space.get("points") or []):
        found.append("other points")
    return found


def refused_changes(before: Opening, now: Opening) -> Iterator[str]:
    """Messages on changes after which trials could not be compared: a new study is needed."""
    old, new = before.entries, now.entries
    for name, entry in new.items():
        was = old.get(name)
        if isinstance(was, Searched) and isinstance(entry, Searched) and was.type != entry.type:
            yield (
                f"{name}.type = {entry.type}: its trials were searched as {was.type}, and the "
                "searcher cannot compare the two"
            )
    if before.space.get("preset") != now.space.get("preset"):
        yield (
            f"preset = {now.space.get('preset')}: was {before.space.get('preset')}; a study's "
            "settings are in its config.yaml"
        )
    for name, value in now.base.items():
        if name not in before.base or before.base[name] == value or name in {*old, *new}:
            continue
        is_pbt = name == "study.scheduler" and "pbt" in (value, before.base[name])
        if name in _OBJECTIVES or is_pbt:
            yield _other(name, value, before.base[name])
        elif name.startswith(("study.", "scale.")) or name in _FREE:
            continue
        elif not is_of_a_trial(name) or name.startswith(_DATA):
            yield _other(name, value, before.base[name])


def refused_values(
    entries: Mapping[str, Range], params: Mapping[str, Any], trial: str
) -> Iterator[str]:
    """Messages on entries that do not fit a trial's settings.

    For studies of an older version, whose ledger has no record of the space.
    """
    for name, value in params.items():
        entry = entries.get(name)
        is_number = isinstance(value, int | float) and not isinstance(value, bool)
        kind = getattr(entry, "type", None)
        if kind in ("float", "int") and not is_number:
            yield f"{name}.type = {kind}: trial {trial} ran with {shown(value)}, which is no number"
        elif kind == "int" and not float(value).is_integer():
            yield f"{name}.type = int: trial {trial} ran with {value}, which is no whole number"


def _other(name: str, value: Any, was: Any) -> str:
    return (
        f"{name} = {shown(value)}: was {shown(was)}; trials that differ in it cannot be compared. "
        "Put it back, or begin a new study"
    )
