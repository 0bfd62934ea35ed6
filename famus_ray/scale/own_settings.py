"""The settings of each trial of a study, as of its start, even if the space has changed."""

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
    """Settings of the trials of a study, from the events of its ledger in order.

    Args:
        space: the current space.
        trials: the folder that holds the trials' folders.
    """

    def __init__(self, space: Space, trials: Path) -> None:
        self._space, self._trials = space, trials
        self._now = flat(space.base.config)
        self._then: Mapping[str, Any] | None = None  # the base config of the next trial
        self._params: dict[int, dict[str, Any]] = {}
        self._bases: dict[int, Mapping[str, Any] | None] = {}

    def opened(self, base: Mapping[str, Any]) -> None:
        """Records the base config, by section and key, of the trials that start from here on."""
        self._then = flattened(base)

    def began(self, number: int, params: Mapping[str, Any]) -> None:
        """Records the searched settings of a trial that starts from the latest base config."""
        self._params[number] = dict(params)
        self._bases[number] = self._then

    def began_anew(self, number: int) -> None:
        """Records that a trial without a trained epoch starts again, from the latest config."""
        if number in self._params:
            self._bases[number] = self._then

    def in_space(self, number: int) -> dict[str, Any] | None:
        """The trial's settings as a point of the current space; None if it lies outside.

        They include settings that were fixed when the trial started and are searched now.
        """
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
        """The settings to apply to the current config so that the trial continues unchanged."""
        params, base = self._params[number], self._bases[number]
        if base is None:  # a study of an older version, whose ledger has no base config
            base = own_values(self._trials / f"{number:04d}") or {}
        changed = {
            key: base[key]
            for key, value in self._now.items()
            if key in base and is_of_a_trial(key) and scalar(base[key]) != scalar(value)
        }
        return {**params, **{key: v for key, v in changed.items() if key not in params}}


def flat(config: Config) -> dict[str, Any]:
    """The settings of a config by dotted key, as JSON values."""
    return flattened(config.model_dump(mode="json"))
