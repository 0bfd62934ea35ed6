"""Checks of a search space."""

from __future__ import annotations

from collections.abc import Collection, Iterator, Mapping, Sequence
from contextlib import suppress
from typing import Any

from pydantic import ValidationError

from famus_ray.config.mistakes import key_hint, shown
from famus_ray.config.resolve import Resolved, problems_of
from famus_ray.config.schema import field_names, setting_value
from famus_ray.spaces.ranges import Choice, Derived, Range, listed
from famus_ray.spaces.read_by import unread
from famus_ray.spaces.space_order import in_a_circle
from famus_ray.spaces.space_walk import Walk
from famus_ray.spaces.study_checks import grid_problems, population_problems
from famus_ray.spaces.trial_config import decoded

__all__ = ["base_problems", "is_of_a_trial", "space_problems"]

_FIXED = ("scale.", "study.", "run.", "schedule.epochs")  # the same for all trials of a study
_NOT_FIXED = ("run.batch_size",)


def is_of_a_trial(name: str) -> bool:
    """Whether a setting may differ between the trials of a study and change what is computed."""
    return (not name.startswith(_FIXED) or name in _NOT_FIXED) and name != "data.root"


def space_problems(
    entries: Mapping[str, Range], named: Collection[str], points: Sequence[Mapping[str, Any]]
) -> list[str]:
    """Problems with the names, conditions and points of a space.

    Args:
        entries: the well-formed entries, by setting.
        named: all names in the file, including those of malformed entries.
        points: settings to try first.
    """
    found = []
    for name in named:
        if name not in field_names():
            found.append(f"{name}: not a setting{key_hint(name)}")
        elif name != "data.root" and not is_of_a_trial(name):
            found.append(f"{name}: is the same for all trials of a study; put it under settings")
    for name, entry in entries.items():
        if isinstance(entry, Derived) and entry.of not in field_names():
            found.append(f"{name}.of: {entry.of} is not a setting{key_hint(entry.of)}")
        for key in entry.when:
            if key not in field_names():
                found.append(f"{name}.when: {key} is not a setting{key_hint(key)}")
    if circle := in_a_circle(entries):
        kinds = {"of" if isinstance(entries[name], Derived) else "when" for name in circle}
        where = " and ".join(sorted(kinds, reverse=True))
        found.append(f"{where}: these go round in a circle: {', '.join(circle)}")
    for i, point in enumerate(points):
        for key, value in point.items():
            if key not in named:
                found.append(f"points[{i}]: {key} is not in the space")
            elif isinstance(entries.get(key), Derived):
                found.append(f"points[{i}]: {key} is derived, not searched; leave it out")
            elif key in entries and not entries[key].contains(value):
                found.append(f"points[{i}]: {key} = {shown(value)} is none of its values")
    return found


def base_problems(
    entries: Mapping[str, Range], points: Sequence[Mapping[str, Any]], base: Resolved
) -> list[str]:
    """Problems with the values of a space, given the config that every trial starts from."""
    known = {name: entry for name, entry in entries.items() if _is_known(name, entry)}
    for name in in_a_circle(known):
        del known[name]
    found = [problem for name, entry in entries.items() for problem in _the_same(name, entry)]
    values = Walk({}, base).base
    for name, entry in [*known.items()]:
        if isinstance(entry, Derived) and (words := _words(entry.of, known, values)):
            found.append(f"{name}.of: {entry.of} may be {words[0]!r}, which has no multiple")
            del known[name]
    chosen = {key for key, source in base.sources.items() if source == "command line"}
    found += _never(known, values, chosen)
    found += [problem for i, point in enumerate(points) for problem in _left_out(i, point, known)]
    walk = Walk(known, base)
    found += _refused(walk, base.sources)
    found += unread(known, base.config.method.name)
    study = base.config.study
    if study.searcher == "grid":
        found += grid_problems(walk, base)
    if study.scheduler == "pbt":
        found += population_problems(entries, base.config.method.name)
    return found


def _the_same(name: str, entry: Range) -> Iterator[str]:
    """Messages on choices that are the same value, such as 1, 1.0 and "1"."""
    if not isinstance(entry, Choice) or name not in field_names():
        return
    written: dict[Any, list[str]] = {}
    for value in entry.values:
        with suppress(ValidationError):  # reported by `_refused`
            written.setdefault(repr(setting_value(name, value)), []).append(shown(value))
    for same in written.values():
        if len(same) > 1:
            yield f"{name}.values: {', '.join(same)} are the same value; keep one"


def _is_known(name: str, entry: Range) -> bool:
    needs = [name, *entry.when, *([entry.of] if isinstance(entry, Derived) else [])]
    return set(needs) <= {*field_names()}


def _words(name: str, entries: Mapping[str, Range], values: Mapping[str, Any]) -> list[Any]:
    """The possible values of a setting that are not numbers."""
    entry = entries.get(name)
    base = [values[name]] if entry is None or entry.when else []
    return [v for v in [*(entry.ends() if entry else []), *base] if not isinstance(v, int | float)]


def _never(
    entries: Mapping[str, Range], values: Mapping[str, Any], chosen: Collection[str]
) -> Iterator[str]:
    """Messages on conditions that no trial meets.

    A condition on a setting `chosen` on the command line is allowed: its value may differ the
    next time, and the conditional setting is left out this time.
    """
    for name, entry in entries.items():
        for key, wanted in entry.when.items():
            other = entries.get(key)
            if other is not None and any(map(other.contains, listed(wanted))):
                continue
            if other is not None and not other.when:
                yield f"{name}.when: {key} is never {_either(wanted)}"
            elif values[key] not in listed(wanted) and key not in chosen:
                why = "" if other else f": it is {shown(values[key])} and not searched"
                yield f"{name}.when: {key} is never {_either(wanted)}{why}"


def _left_out(i: int, point: Mapping[str, Any], entries: Mapping[str, Range]) -> Iterator[str]:
    """Messages on settings of a point whose condition the point itself breaks."""
    for name in [key for key in point if key in entries]:
        for key, wanted in entries[name].when.items():
            if key in point and point[key] not in listed(wanted):
                yield (
                    f"points[{i}]: {name} is searched only where {key} = {_either(wanted)}, and "
                    f"the point has {point[key]}; leave {name} out"
                )


def _either(wanted: Any) -> str:
    return " or ".join(map(str, listed(wanted)))


def _refused(walk: Walk, sources: Mapping[str, str]) -> list[str]:
    """Problems that the config of a run finds at the ends of each range and at each choice."""
    found: list[str] = []
    for settings in [walk.usual(), *(settings for _, settings in walk.cases())]:
        values = {name: decoded(value) for name, value in settings.items()}
        known = {**sources, **dict.fromkeys(settings, "space")}
        for problem in problems_of({**walk.base, **values}, known):
            entry = walk.entries.get(problem.partition(" = ")[0])
            made = f" ({entry.times:g} x {entry.of})" if isinstance(entry, Derived) else ""
            found.append(problem + made)
    return list(dict.fromkeys(found))
