"""Trials with given settings: the points of a space, or all trials of a grid."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Any

from famus_ray.spaces.ranges import scalar
from famus_ray.spaces.space import Space

__all__ = ["Given"]

Settings = Mapping[str, Any]


class Given:
    """The given settings of a study, by the trial's position in the search."""

    def __init__(self, space: Space) -> None:
        self._study = space.base.config.study
        self._is_grid = self._study.searcher == "grid"
        self._grid = space.grid() if self._is_grid else []  # not started yet
        self._points = dict(enumerate(space.points))
        self._seen: list[dict[str, Any]] | None = None

    def opened(self, points: Sequence[Settings], drawn: int) -> None:
        """Records that the study was opened with these points.

        New points are tried next; points that were removed from the space are not tried.

        Args:
            points: of the space.
            drawn: number of trials drawn before.
        """
        now = [{key: scalar(value) for key, value in point.items()} for point in points]
        if self._seen is None:
            self._points, self._seen = dict(enumerate(now)), now
            return
        ahead = [point for place, point in self._points.items() if place >= drawn and point in now]
        fresh = [point for point in now if point not in self._seen]
        self._points = dict(enumerate([*ahead, *fresh], start=drawn))
        self._seen += fresh

    def begun(self, settings: Settings) -> None:
        """Records that a trial with these settings was started before."""
        if settings in self._grid:
            self._grid.remove(dict(settings))

    def at(self, drawn: int) -> Settings | None:
        """The settings of the next trial; None if the searcher draws them.

        Args:
            drawn: number of trials before it.
        """
        return self._grid.pop(0) if self._is_grid else self._points.get(drawn)

    def planned(self, drawn: int) -> int:
        """The number of trials of the search.

        Args:
            drawn: number of trials started so far.
        """
        return drawn + len(self._grid) if self._is_grid else self._study.trials
