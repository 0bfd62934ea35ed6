"""A walk through a search space: assigns values to its settings in the order of dependencies."""

from __future__ import annotations

from collections.abc import Callable, Collection, Iterator, Mapping
from typing import Any

from famus_ray.config.resolve import Resolved
from famus_ray.config.schema import field_names
from famus_ray.spaces.ranges import Constant, Derived, Range, Searched, listed, scalar
from famus_ray.spaces.space_order import dependencies_first

__all__ = ["Walk", "describe_size"]

_MANY = 10**6

Pick = Callable[[str, Searched], Any]


class Walk:
    """A space's settings in order; a call with a picker of values returns a trial's settings.

    Args:
        entries: of the space, without cyclic dependencies.
        base: the config that every trial starts from.
    """

    def __init__(self, entries: Mapping[str, Range], base: Resolved) -> None:
        self.entries = entries
        sections = {name: getattr(base.config, name) for name in type(base.config).model_fields}
        keys = [name.split(".", 1) for name in field_names()]
        self.base = {f"{section}.{key}": getattr(sections[section], key) for section, key in keys}
        self._order = dependencies_first(entries)

    def __call__(self, pick: Pick) -> dict[str, Any]:
        values, chosen = dict(self.base), dict[str, Any]()
        for name in self._order:
            entry = self.entries[name]
            if not all(values[key] in listed(wanted) for key, wanted in entry.when.items()):
                continue
            if isinstance(entry, Constant):
                chosen[name] = scalar(entry.value)
            elif isinstance(entry, Derived):
                chosen[name] = entry.value(values[entry.of])
            else:
                chosen[name] = pick(name, entry)
            values[name] = chosen[name]
        return chosen

    def combinations(self, varied: Collection[str]) -> Iterator[tuple[dict[str, Any], int]]:
        """All combinations of the values of the `varied` settings; the last one varies fastest.

        Yields pairs: settings, and the number of combinations of all other settings with them.
        """
        places: list[int] | None = []  # index of each setting's value, in the order of the walk
        while places is not None:
            found, taken, others = self._at(places, varied)
            yield found, others
            while taken and taken[-1][0] + 1 == taken[-1][1]:
                taken.pop()
            places = [place for place, _ in taken]
            places = [*places[:-1], places[-1] + 1] if places else None

    def _at(
        self, places: list[int], varied: Collection[str]
    ) -> tuple[dict[str, Any], list[tuple[int, int]], int]:
        """The settings with the values at `places` of the varied settings and the first values of
        all others; (place, number of values) of each varied one; combinations of the others."""
        taken: list[tuple[int, int]] = []
        others = 1

        def pick(name: str, entry: Searched) -> Any:
            nonlocal others
            count = entry.count() or 0
            if name not in varied:
                others *= count
                return entry.at(0)
            place = places[len(taken)] if len(taken) < len(places) else 0
            taken.append((place, count))
            return entry.at(place)

        return self(pick), taken, others

    def size(self) -> int | None:
        """The number of combinations; a lower bound above a million; None if there is no limit.

        Only the settings in conditions decide which others exist, so only they are enumerated;
        the numbers of values of all others are multiplied.
        """
        searched = (entry for entry in self.entries.values() if isinstance(entry, Searched))
        if any(entry.count() is None for entry in searched):
            return None
        asked = {key for entry in self.entries.values() for key in entry.when}
        for name in reversed(self._order):
            if name in asked and isinstance(entry := self.entries[name], Derived):
                asked.add(entry.of)
        total = 0
        for _, others in self.combinations(asked):
            total += others
            if total > _MANY:
                break
        return total

    def cases(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Pairs of a setting and the settings of a trial, for each end or choice of the setting.

        The other settings have the values that its conditions require, else those of the base, or
        the first of their range if the base's value is outside.
        """
        for name in self._order:
            for given in self._ends(name):
                wanted = self._needed([name, *given], given)
                settings = self(lambda key, entry: _picked(key, entry, wanted, self.base))  # noqa: B023
                if name in settings and all(settings.get(k) == v for k, v in given.items()):
                    yield name, settings

    def usual(self) -> dict[str, Any]:
        """The settings of a trial with the base's values, or the first of a range if the base's
        value is outside."""
        return self(lambda key, entry: _picked(key, entry, {}, self.base))

    def _ends(self, name: str) -> list[dict[str, Any]]:
        """For each end of a setting, the values to pick for it."""
        entry = self.entries.get(name)
        if isinstance(entry, Derived):
            return self._ends(entry.of)
        if isinstance(entry, Searched):
            return [{name: scalar(end)} for end in entry.ends()]
        return [{}]

    def _needed(self, names: list[str], given: Mapping[str, Any]) -> dict[str, Any]:
        """The values to pick so that the conditions of these settings hold."""
        wanted, left = dict(given), list(names)
        while left:
            entry = self.entries.get(left.pop())
            for key, values in (entry.when if entry else {}).items():
                other = self.entries.get(key)
                if isinstance(other, Searched) and key not in wanted:
                    fitting = (scalar(value) for value in listed(values) if other.contains(value))
                    wanted[key] = next(fitting, None)
                    left.append(key)
        return wanted


def _picked(key: str, entry: Searched, wanted: Mapping[str, Any], base: Mapping[str, Any]) -> Any:
    if key in wanted:
        return wanted[key]
    return base[key] if entry.contains(base[key]) else scalar(entry.ends()[0])


def describe_size(size: int | None) -> str:
    """The number of combinations as text for the user."""
    if size is None:
        return "no end of configurations"
    if size > _MANY:
        return "more than a million configurations"
    return f"{size} configuration{'' if size == 1 else 's'}"
