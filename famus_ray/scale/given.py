"""The trials of a study whose settings are given: the points of its space, or all of a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from famus_ray.spaces.ranges import scalar
from famus_ray.spaces.space import Space

__all__ = ["Given"]

Settings = Mapping[str, Any]


class Given:
    """Which settings are given, by the trial's place in the search."""

    def __init__(self, space: Space) -> None:
        self._study = space.base.config.study
        self._is_grid = self._study.searcher == "grid"
        self._grid = space.grid() if self._is_grid else []  # not begun yet
        self._points = dict(enumerate(space.points))
        self._seen: list[dict[str, Any]] | None = None

    def opened(self, points: Sequence[Settings], drawn: int) -> None:
        """The study was opened with these points when so many trials were drawn: new ones come
        next, those that were taken out do not come."""
        now = [{key: scalar(value) for key, value in point.items()} for point in points]
        if self._seen is None:
            self._points, self._seen = dict(enumerate(now)), now
            return
        ahead = [point for place, point in self._points.items() if place >= drawn and point in now]
        fresh = [point for point in now if point not in self._seen]
        self._points = dict(enumerate([*ahead, *fresh], start=drawn))
        self._seen += fresh

    def begun(self, settings: Settings) -> None:
        """A trial with these settings was begun before."""
        if settings in self._grid:
            self._grid.remove(dict(settings))

    def at(self, drawn: int) -> Settings | None:
        """The settings of the next trial, None where they are drawn.

        Args:
            drawn: trials before it.
        """
        return self._grid.pop(0) if self._is_grid else self._points.get(drawn)

    def planned(self, drawn: int) -> int:
        """How many trials the search has.

        Args:
            drawn: those that were begun.
        """
        return drawn + len(self._grid) if self._is_grid else self._study.trials
