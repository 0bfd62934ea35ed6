"""What has begun under its name, for a command that starts it or goes on with it.

Schedulers run the same line again after a requeue, a preemption or a lost node.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

from famus_ray.config.resolve import Resolved, load_yaml
from famus_ray.config.schema import Config
from famus_ray.errors import UserError
from famus_ray.records.folders import load_config
from famus_ray.records.run_folder import FREE_ON_RESUME, RunFolder
from famus_ray.run_path import named_path
from famus_ray.spaces.space import Space
from famus_ray.spaces.space_file import space_path
from famus_ray.store import shown

__all__ = ["as_begun", "begun_study", "of_study"]


def as_begun(resolved: Resolved) -> Resolved | None:
    """The settings for going on with the run named `run.name`; None if it has not begun.

    Settings that were chosen by the images stay as they were chosen then: another machine, with
    other memory or a GPU, might choose others.

    Raises:
        UserError: no name, or a damaged config in the folder.
    """
    path = named_path(resolved.config)
    if not (path / "config.yaml").is_file():
        return None
    return replace(resolved, config=_as_chosen_then(resolved, load_config(path)))


def begun_study(space: Space, file: str) -> Path | None:
    """The folder of the study named `run.name`; None if it has not begun.

    Args:
        space: as the command loaded it.
        file: the space's name or path.

    Raises:
        UserError: no name, or a study of another space or with other settings, apart from those
            of section `study`, which may change.
    """
    config = space.base.config
    path = named_path(config)
    if not (path / "config.yaml").is_file():
        return None
    if not (path / "space.yaml").is_file():
        raise UserError(f"{path}: is a run, not a study; choose another --name")
    if load_yaml(path / "space.yaml") != load_yaml(space_path(file)):
        raise UserError(
            f"{path / 'space.yaml'}: differs from {file}; `famus-ray resume {shown(path)}` goes on "
            "with the one that is there, another --name begins a new study"
        )
    saved = load_config(path)
    study = config.study.model_validate(saved["study"])
    then = _as_chosen_then(space.base, saved)
    RunFolder(path).check_same(then.model_copy(update={"study": study}))
    return path


def of_study(overrides: Iterable[str]) -> tuple[str, ...]:
    """The overrides that may change while a study goes on: section `study`, and where it runs.

    The cluster's address is among them: that of a job which is run again is another one.
    """
    may_change = FREE_ON_RESUME - {"run.name", "run.root"}
    return tuple(item for item in overrides if item.partition("=")[0].strip() in may_change)


def _as_chosen_then(resolved: Resolved, saved: Mapping[str, Any]) -> Config:
    values = resolved.config.model_dump()
    for name, source in resolved.sources.items():
        section, _, key = name.partition(".")
        if source.startswith("chosen: ") and key in saved.get(section, {}):
            values[section][key] = saved[section][key]
    return Config.model_validate(values)
