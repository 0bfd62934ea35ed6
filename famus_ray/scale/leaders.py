"""The leaders of a search: its best configurations, trained again with further seeds.

The best of many trials was also lucky; seeds that it was not chosen by say what it is worth.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from famus_ray.config.schema import Config

__all__ = ["Leaders"]


class Leaders:
    """Who leads, and which further seeds are still to be trained."""

    def __init__(self, config: Config) -> None:
        self._count = config.study.leaders
        self._seeds = config.study.leader_seeds
        self._first_seed = config.run.seed + config.study.seeds
        self._step = config.study.seeds  # runs of one configuration in one trial
        self._found: dict[int, tuple[float, dict[str, Any]]] = {}
        self._begun: Counter[int] = Counter()

    @property
    def left(self) -> int:
        """Trials to come if the search ended now."""
        return sum(max(0, self._seeds - self._begun[leader]) for leader in self._leading())

    def completed(self, number: int, value: float, settings: Mapping[str, Any]) -> None:
        """A trial of the search has come to a value, and may lead."""
        self._found[number] = (value, dict(settings))

    def begun(self, leader: int) -> None:
        """A further seed of this trial's configuration has been handed out."""
        self._begun[leader] += 1

    def next(self) -> tuple[int, dict[str, Any]] | None:
        """A leader and its settings with a further seed: a seed of each leader in turn."""
        behind = [leader for leader in self._leading() if self._begun[leader] < self._seeds]
        if not behind:
            return None
        leader = min(behind, key=lambda number: self._begun[number])
        seed = self._first_seed + self._step * self._begun[leader]
        return leader, {**self._found[leader][1], "run.seed": seed}

    def _leading(self) -> list[int]:
        """Of equals the first, as in the table."""
        ranked = sorted(self._found, key=lambda number: (-self._found[number][0], number))
        return ranked[: self._count]
