"""A way through a search space: its settings get their values in the order of their conditions."""

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
    """Called with who picks a value, it gives the settings of a trial.

    Args:
        entries: of the space, without a circle.
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
        """The settings with every combination of the values of those `varied`, the last one
        fastest, and how many combinations of the others there are with each."""
        places: list[int] | None = []  # which value of each setting, in the order of the walk
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
        """Settings with these values of the `varied` ones and with the first of all others; place
        and number of values of each varied one; combinations of the others."""
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
        """How many combinations there are, beyond a million a lower bound; None without an end.

        Only settings that a condition asks for decide which others there are: the numbers of
        values of all others are multiplied, and nothing is listed.
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
        """Each setting with each of its ends or choices, in the settings of a trial with it: the
        other ones as its conditions ask, as in the base, or else as their range begins."""
        for name in self._order:
            for given in self._ends(name):
                wanted = self._needed([name, *given], given)
                settings = self(lambda key, entry: _picked(key, entry, wanted, self.base))  # noqa: B023
                if name in settings and all(settings.get(k) == v for k, v in given.items()):
                    yield name, settings

    def usual(self) -> dict[str, Any]:
        """The settings of a trial with the values of the base, or where these are out of their
        range with the first that is in it."""
        return self(lambda key, entry: _picked(key, entry, {}, self.base))

    def _ends(self, name: str) -> list[dict[str, Any]]:
        """What must be picked to see the ends of a setting."""
        entry = self.entries.get(name)
        if isinstance(entry, Derived):
            return self._ends(entry.of)
        if isinstance(entry, Searched):
            return [{name: scalar(end)} for end in entry.ends()]
        return [{}]

    def _needed(self, names: list[str], given: Mapping[str, Any]) -> dict[str, Any]:
        """What must be picked for these settings to be there."""
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
    """How many combinations there are, for people."""
    if size is None:
        return "no end of configurations"
    if size > _MANY:
        return "more than a million configurations"
    return f"{size} configuration{'' if size == 1 else 's'}"
