"""Training and tuning from Python: what the commands do, as two functions."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from famus_ray.config.resolve import resolve
from famus_ray.progress.epoch_bar import EpochProgress
from famus_ray.records.folders import find_folder, is_study, load_config
from famus_ray.run_path import claimed_new, claimed_run
from famus_ray.scale.run import RunResult, resume_run, run_config

__all__ = [
    "RunResult",
    "StudyResult",
    "extend",
    "resume",
    "train",
    "tune",
]


@dataclass(frozen=True)
class StudyResult:
    """A finished study.

    Attributes:
        path: its folder; `load_trials(path)` gives the table.
        best_settings: of the trial with the highest value, by dotted key.
        best_value: that value, a share in [0, 1].
    """

    path: Path
    best_settings: dict[str, Any]
    best_value: float


def train(
    preset: str | Path = "digits",
    *overrides: str,
    resume: bool = False,
    quiet: bool = False,
    **sections: Any,
) -> RunResult:
    """One run, finished: its folder, its config and its accuracies.

    `train("digits", method="famus", noise={"kind": "symmetric", "rate": 0.4})`

    Args:
        preset: a preset's name or a YAML file.
        overrides: `section.key=value`, as on a command line; they win over `sections`, and of
            the same one twice the last counts.
        resume: go on in the folder of the run that run.name names, from its last checkpoint.
        quiet: show no progress; else it is on standard error.
        sections: sections of the config as mappings, or their main field as a word.

    Raises:
        UserError: every problem of the settings at once, data that are missing, a name that is
            taken or in use, or a run to resume that is not there or was begun with other settings
            or data.
        Diverged: a loss that is not finite; the last good checkpoint is kept.
    """
    config = resolve(preset, overrides, sections).config
    with (
        claimed_run(config, resume=resume) as path,
        EpochProgress(path.name, config.schedule.epochs, _console(quiet)) as shown,
    ):
        return run_config(
            config, path, resume=resume, on_epoch=shown.on_epoch, on_step=shown.on_step
        )


def resume(
    folder: str | Path, *overrides: str, retry_failed: bool = False, quiet: bool = False
) -> RunResult | StudyResult:
    """A run or study that was interrupted, finished; one that is finished already, as it is.

    Args:
        folder: its path, or its name under `runs/`.
        overrides: settings that change no number, such as `study.concurrent=2`.
        retry_failed: of a study, try the trials again that failed, whatever the cause.
        quiet: show no progress; else it is on standard error.

    Raises:
        UserError: neither is there, other settings, a checkpoint is gone, another process is
            running it, or its space was changed so that it is another study.
        StudyStopped: a study of which every further trial failed.
        Diverged: a run's loss that is not finite; in a study that ends the trial alone.
    """
    path = find_folder(folder)
    if not is_study(path):
        epochs_planned = load_config(path)["schedule"]["epochs"]
        with EpochProgress(path.name, epochs_planned, _console(quiet)) as run:
            return resume_run(path, *overrides, on_epoch=run.on_epoch, on_step=run.on_step)
    from famus_ray.progress.study_view import progress_of
    from famus_ray.scale.study import resume_study

    with progress_of(path, overrides, console=_console(quiet)) as study:
        resume_study(
            path, overrides, study.on_trial, retry_failed=retry_failed, tell=_console(quiet).print
        )
    return _study_result(path)


def extend(study: str | Path, trials: int, *, quiet: bool = False) -> StudyResult:
    """A finished study with so many trials more; its searcher knows those before.

    Args:
        study: its path, or its name under `runs/`.
        trials: how many to add, at least 1.
        quiet: show no progress; else it is on standard error.

    Raises:
        UserError: no study there, another process is running it, its space was changed so that it
            is another study, or it is a grid.
        StudyStopped: every further trial failed.
    """
    from famus_ray.progress.study_view import progress_of
    from famus_ray.scale.study import extend_study

    path = find_folder(study)
    with progress_of(path, more_trials=trials, console=_console(quiet)) as shown:
        extend_study(path, trials, shown.on_trial, tell=_console(quiet).print)
    return _study_result(path)


def tune(
    space: str | Path, *overrides: str, trials: int | None = None, quiet: bool = False
) -> StudyResult:
    """A finished study: Optuna suggests, Ray Tune runs the trials on this machine, or on the
    cluster at `scale.address`.

    Args:
        space: a search space's name, such as `famus`, or a YAML file.
        overrides: `section.key=value`, over the space's preset and settings.
        trials: how many; `study.trials` when left out.
        quiet: show no progress; else it is on standard error.

    Raises:
        UserError: every problem of the space and the settings at once, data that are missing, a
            trial that needs more than the cluster has, or no trial that came to a value.
        StudyStopped: every trial failed, several in a row alike, or the machine is at fault.
    """
    from famus_ray.progress.study_view import StudyProgress
    from famus_ray.scale.study import run_study
    from famus_ray.spaces.space import load_space

    more = () if trials is None else (f"study.trials={trials}",)
    loaded = load_space(str(space), (*overrides, *more))
    config = loaded.base.config
    with (
        claimed_new(config, f"study-{loaded.name}") as path,
        StudyProgress(config, loaded.planned_runs(), console=_console(quiet)) as progress,
    ):
        run_study(loaded, path, progress.on_trial)
    return _study_result(path)


def _console(quiet: bool) -> Console:
    return Console(stderr=True, quiet=quiet)


def _study_result(path: Path) -> StudyResult:
    from famus_ray.errors import UserError
    from famus_ray.reading.trials import best_trial, why_no_best

    best = best_trial(path)
    if best is None:
        raise UserError(why_no_best(path))
    return StudyResult(path, best.settings, best.value)
