"""What each trial of a study ran with, whatever became of the space since then."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from famus_ray.config.resolve import flattened
from famus_ray.config.schema import Config
from famus_ray.records.rebuilt import own_values
from famus_ray.spaces.ranges import scalar
from famus_ray.spaces.space import Space
from famus_ray.spaces.space_checks import is_of_a_trial

__all__ = ["OwnSettings", "flat"]


class OwnSettings:
    """Settings of the trials of a study, from the events of its ledger in their order.

    Args:
        space: as it is now.
        trials: the folder of their folders.
    """

    def __init__(self, space: Space, trials: Path) -> None:
        self._space, self._trials = space, trials
        self._now = flat(space.base.config)
        self._then: Mapping[str, Any] | None = None  # the base when the next trial begins
        self._params: dict[int, dict[str, Any]] = {}
        self._bases: dict[int, Mapping[str, Any] | None] = {}

    def opened(self, base: Mapping[str, Any]) -> None:
        """Trials that begin from here on start from this config, by section and key."""
        self._then = flattened(base)

    def began(self, number: int, params: Mapping[str, Any]) -> None:
        """A trial has begun with these searched settings; one that begins anew, from the config
        as it is by then."""
        self._params[number] = dict(params)
        self._bases[number] = self._then

    def began_anew(self, number: int) -> None:
        """A trial that had trained nothing is tried again, from the config as it is by now."""
        if number in self._params:
            self._bases[number] = self._then

    def in_space(self, number: int) -> dict[str, Any] | None:
        """The settings that the space as it is now would give such a trial, those that were fixed
        then included; None where it lies outside."""
        own = {**self._now, **(self._bases[number] or {}), **self._params[number]}
        found = self._space.placed(own)
        if found is None:
            return None
        same = {**self._now, **found}
        differs = any(
            is_of_a_trial(key) and scalar(own[key]) != scalar(value) for key, value in same.items()
        )
        return None if differs else found

    def to_run(self, number: int) -> dict[str, Any]:
        """What must be set over the config as it is now for the trial to go on as it began."""
        params, base = self._params[number], self._bases[number]
        if base is None:  # begun by a version that kept no record of it
            base = own_values(self._trials / f"{number:04d}") or {}
        changed = {
            key: base[key]
            for key, value in self._now.items()
            if key in base and is_of_a_trial(key) and scalar(base[key]) != scalar(value)
        }
        return {**params, **{key: v for key, v in changed.items() if key not in params}}


def flat(config: Config) -> dict[str, Any]:
    """The settings of a config by dotted key, as JSON has them."""
    return flattened(config.model_dump(mode="json"))
