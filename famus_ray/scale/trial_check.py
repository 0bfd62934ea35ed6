"""Checks of a space's values against data and network, before any trial starts."""

from __future__ import annotations

from famus_ray.config.mistakes import joined
from famus_ray.data.catalog import Dataset
from famus_ray.errors import DataNotHere, UserError
from famus_ray.spaces.space import Space
from famus_ray.spaces.trial_config import trial_config
from famus_ray.training.loop import checked_data

__all__ = ["check_trials"]

# Settings that a run checks against its data and network; the schema has checked all numbers.
_CHECKED = (
    "data.", "noise.", "model.", "run.batch_size", "schedule.balanced_batches", "meta.hidden",
    "meta.gate_hidden",
)  # fmt: skip


def check_trials(space: Space, data: Dataset) -> None:
    """Raises UserError for values that training would refuse; checks each in one trial.

    Args:
        space: the search space.
        data: the data set of the config that every trial starts from.

    Raises:
        UserError: a value that training would refuse.
        DataNotHere: some data sets are not on this machine, and nothing else is wrong.
    """
    base = space.base.config
    settings_of_base = base.model_dump(mode="json")
    checked = {base.model_dump_json()}
    problems: list[UserError] = []
    for name, settings in space.cases():
        if not (name.startswith(_CHECKED) or isinstance(settings[name], str)):
            continue
        config = trial_config(settings_of_base, settings)
        if (text := config.model_dump_json()) in checked:
            continue
        checked.add(text)
        is_loaded = (config.data, config.noise) == (base.data, base.noise)
        try:
            checked_data(config, data if is_loaded else None)
        except UserError as error:
            problems.append(error)
    refused = [str(error) for error in problems if not isinstance(error, DataNotHere)]
    if refused:
        raise UserError(joined(space.name, [*dict.fromkeys(refused)]))
    if problems:
        raise problems[0]
