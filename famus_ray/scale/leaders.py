"""The leaders of a search: its best configurations, trained again with further seeds.

The best of many trials owes its value partly to chance. Seeds that played no part in its choice
give an unbiased estimate.
"""

from __future__ import annotations

from collections import Counter
from collections.abc import Mapping
from typing import Any

from famus_ray.config.schema import Config

__all__ = ["Leaders"]


class Leaders:
    """The best trials so far, and the further seeds that they still need."""

    def __init__(self, config: Config) -> None:
        self._count = config.study.leaders
        self._seeds = config.study.leader_seeds
        self._first_seed = config.run.seed + config.study.seeds
        self._step = config.study.seeds  # runs of one configuration in one trial
        self._found: dict[int, tuple[float, dict[str, Any]]] = {}
        self._begun: Counter[int] = Counter()

    @property
    def left(self) -> int:
        """Trials still to run if the search ended now."""
        return sum(max(0, self._seeds - self._begun[leader]) for leader in self._leading())

    def completed(self, number: int, value: float, settings: Mapping[str, Any]) -> None:
        """Records the value of a completed trial of the search, which may be a leader."""
        self._found[number] = (value, dict(settings))

    def begun(self, leader: int) -> None:
        """Records that a further seed of this trial's configuration was handed out."""
        self._begun[leader] += 1

    def next(self) -> tuple[int, dict[str, Any]] | None:
        """A leader's number and its settings with a further seed; None if no seed is left.

        The leaders get their seeds in turn.
        """
        behind = [leader for leader in self._leading() if self._begun[leader] < self._seeds]
        if not behind:
            return None
        leader = min(behind, key=lambda number: self._begun[number])
        seed = self._first_seed + self._step * self._begun[leader]
        return leader, {**self._found[leader][1], "run.seed": seed}

    def _leading(self) -> list[int]:
        """The best trials; ties go to the earlier trial, as in the table."""
        ranked = sorted(self._found, key=lambda number: (-self._found[number][0], number))
        return ranked[: self._count]
