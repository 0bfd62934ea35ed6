"""Training and tuning from Python: the commands as functions."""

from __future__ import annotations

import json
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from rich.console import Console

from famus_ray.begun import as_begun, begun_study, of_study
from famus_ray.config.schema import Config
from famus_ray.progress.epoch_bar import EpochProgress
from famus_ray.records.folders import find_folder, is_study, load_config
from famus_ray.run_path import claimed_new, claimed_run
from famus_ray.scale.run import RunResult, resume_run, run_config
from famus_ray.store import shown

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
        path: its folder; `load_trials(path)` returns its table.
        best_settings: settings of the best trial, by dotted key.
        best_value: value of the best trial, a share in [0, 1].
    """

    path: Path
    best_settings: dict[str, Any]
    best_value: float

    def __repr__(self) -> str:
        chosen = ", ".join(f"{key}={value}" for key, value in self.best_settings.items())
        return f"StudyResult({shown(self.path)})\n  best trial: {self.best_value:.4f} with {chosen}"


def train(
    preset: str | Path | None = None,
    *overrides: str,
    resume: bool = False,
    or_resume: bool = False,
    quiet: bool = False,
    **sections: Any,
) -> RunResult:
    """Trains one run; returns its folder, config and accuracies.

    `train("digits", method="famus", noise={"kind": "symmetric", "rate": 0.4})`
    `train(data=(images, labels), model=my_network, meta=(clean_images, clean_labels))`

    Data that are handed over are arrays (images, labels), a data set of torch, a `Source`, or a
    DataFrame with columns path and label; they are kept in the run's folder. Images are uint8 or
    in [0, 1], of the shape (N, H, W), (N, H, W, channels) or (N, channels, H, W); labels are whole
    numbers or strings (N,). Without `test`, `data.test_fraction` of them is split off.

    Args:
        preset: a preset's name, a YAML file, or the folder or table of your own images; digits
            when left out, own for data that are handed over.
        overrides: `section.key=value`, as on a command line. They override `sections`; of
            duplicates the last one wins.
        resume: continue the run in the folder named by `run.name` from its last checkpoint.
        or_resume: the same where it has begun; else start it.
        quiet: show no progress; by default it is shown on standard error.
        sections: sections of the config as mappings, or only their main field as a value; data as
            above as `data`, and as `meta` (clean), `validation` and `test`. A setting that takes
            an import path takes the object, too: a function or class of (classes, channels), or
            a network, as `model`; a method's declaration as `method`.

    Raises:
        UserError: problems of the settings (all in one message), missing data, a name that exists
            or is in use, or a run to resume that does not exist or has other settings or data.
        Diverged: a loss that is not finite; the last good checkpoint is kept.
    """
    from famus_ray.data.own.choices import resolve_run
    from famus_ray.own_parts import own_parts

    parts, console = own_parts(sections), _console(quiet)
    start = preset or ("own" if parts.is_own else "digits")
    chosen = resolve_run(start, overrides, parts.values, parts.data)
    begun = as_begun(chosen.resolved) if or_resume else None
    resume, config = resume or begun is not None, (begun or chosen.resolved).config
    for line in (*chosen.told, *_told_only_here(config)):
        console.print(line, highlight=False, markup=False, soft_wrap=True)
    with (
        claimed_run(config, resume=resume) as path,
        parts.kept_in(path, config) as kept,
        EpochProgress(path.name, kept.schedule.epochs, console) as shown,
    ):
        return run_config(kept, path, resume=resume, on_epoch=shown.on_epoch, on_step=shown.on_step)


def resume(
    folder: str | Path, *overrides: str, retry_failed: bool = False, quiet: bool = False
) -> RunResult | StudyResult:
    """Finishes an interrupted run or study and returns its results.

    One that is finished already is not changed.

    Args:
        folder: its path, or its name under `runs/`.
        overrides: settings that do not change results, such as `study.concurrent=2`.
        retry_failed: run the failed trials of a study again, whatever the cause.
        quiet: show no progress; by default it is shown on standard error.

    Raises:
        UserError: no run or study in the folder, other settings, a missing checkpoint, another
            process is running it, or a changed space whose trials cannot be compared.
        StudyStopped: the study stopped early, or all further trials failed.
        Diverged: a run's loss is not finite. In a study only the trial ends.
    """
    path = find_folder(folder)
    if not is_study(path):
        epochs_planned = load_config(path)["schedule"]["epochs"]
        with EpochProgress(path.name, epochs_planned, _console(quiet)) as run:
            return resume_run(path, *overrides, on_epoch=run.on_epoch, on_step=run.on_step)
    return _resumed_study(path, overrides, quiet, retry_failed=retry_failed)


def extend(study: str | Path, trials: int, *, quiet: bool = False) -> StudyResult:
    """Adds trials to a study, runs them and returns its results.

    The searcher knows the earlier trials.

    Args:
        study: its path, or its name under `runs/`.
        trials: number of trials to add, at least 1.
        quiet: show no progress; by default it is shown on standard error.

    Raises:
        UserError: no study in the folder, another process is running it, a changed space whose
            trials cannot be compared, or a grid, which has no further trials.
        StudyStopped: the study stopped early, or all further trials failed.
    """
    from famus_ray.progress.study_view import progress_of
    from famus_ray.scale.study import extend_study

    path = find_folder(study)
    with progress_of(path, more_trials=trials, console=_console(quiet)) as shown:
        extend_study(path, trials, shown.on_trial, tell=_console(quiet).print)
    return _study_result(path)


def tune(
    space: str | Path,
    *overrides: str,
    trials: int | None = None,
    or_resume: bool = False,
    quiet: bool = False,
    **sections: Any,
) -> StudyResult:
    """Runs a study and returns its best trial.

    Optuna suggests the trials, and Ray Tune runs them on this machine or on the cluster at
    `scale.address`.

    `tune("famus", trials=20, data=(images, labels), meta=(clean_images, clean_labels))`

    Args:
        space: a search space's name, such as `famus`, or a YAML file.
        overrides: `section.key=value`; they override the space's preset and settings.
        trials: number of trials; `study.trials` by default.
        or_resume: go on with the study named by `run.name` where it has begun.
        quiet: show no progress; by default it is shown on standard error.
        sections: as of `train`; they override the space's preset and settings. For own data the
            preset is `own`: what neither the space nor the call sets is chosen by the images.

    Raises:
        UserError: problems of the space and the settings (all in one message), missing data, a
            trial that needs more than the cluster has, or no trial with a value.
        StudyStopped: every trial failed, several in a row failed for the same reason, or the
            machine is at fault.
    """
    from famus_ray.own_parts import own_parts
    from famus_ray.own_space import space_for
    from famus_ray.progress.study_view import StudyProgress
    from famus_ray.scale.study import run_study

    more = () if trials is None else (f"study.trials={trials}",)
    parts = own_parts(sections)
    loaded, told = space_for(str(space), (*overrides, *more), parts.values, parts.data)
    config = loaded.base.config
    for line in (*told, *_told_only_here(config)):
        _console(quiet).print(line, highlight=False, markup=False, soft_wrap=True)
    begun = begun_study(loaded, str(space)) if or_resume else None
    if begun is not None:
        changed = [f"study.{k}={json.dumps(v)}" for k, v in parts.values.get("study", {}).items()]
        return _resumed_study(begun, (*changed, *of_study((*overrides, *more))), quiet)
    with (
        claimed_new(config, f"study-{loaded.name}") as path,
        parts.kept_in(path, config) as kept,
        StudyProgress(kept, loaded.planned_runs(), console=_console(quiet)) as progress,
    ):
        tell = _console(quiet).print
        run_study(loaded.based_on(kept), path, progress.on_trial, tell=tell)
    return _study_result(path)


def _resumed_study(
    path: Path, overrides: tuple[str, ...], quiet: bool, *, retry_failed: bool = False
) -> StudyResult:
    from famus_ray.progress.study_view import progress_of
    from famus_ray.scale.study import resume_study

    console = _console(quiet)
    with progress_of(path, overrides, console=console) as study:
        resume_study(path, overrides, study.on_trial, retry_failed=retry_failed, tell=console.print)
    return _study_result(path)


def _console(quiet: bool) -> Console:
    return Console(stderr=True, quiet=quiet)


def _told_only_here(config: Config) -> Iterator[str]:
    from famus_ray.records.manifest import only_here

    for setting in only_here(config):
        yield (
            f"{setting}: lives in this Python process only, so the run cannot be resumed "
            "elsewhere; in a file of its own, named by its import path, it could"
        )


def _study_result(path: Path) -> StudyResult:
    from famus_ray.errors import UserError
    from famus_ray.reading.loaded import load
    from famus_ray.reading.trials import why_no_best

    found = load(path)
    best = found.best
    if best is None:
        raise UserError(why_no_best(found.trials, path))
    return StudyResult(path, best.settings, best.value)
