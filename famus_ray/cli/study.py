"""Commands that run a study: `tune`, `resume` and `extend`."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated

import typer

from famus_ray.cli.options import AsJson, DryRun, Name, OrResume, Overrides
from famus_ray.store import shown

__all__ = ["extend", "resume", "tune"]


def tune(
    space: Annotated[str, typer.Argument(help="A search space's name or its YAML file.")],
    overrides: Overrides = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Configurations to try.")] = None,
    concurrent: Annotated[int | None, typer.Option(min=1, help="Trials at the same time.")] = None,
    hours: Annotated[float | None, typer.Option(help="Time after which the search ends.")] = None,
    name: Annotated[
        str | None, typer.Option(help="Name of the study's folder; of its space if left out.")
    ] = None,
    or_resume: OrResume = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Search for good settings with Optuna and ASHA on Ray Tune."""
    from famus_ray.cli.output import interruptible, say
    from famus_ray.own_space import space_for
    from famus_ray.spaces.study_checks import check_study

    more = [*(overrides or [])]
    more += [] if trials is None else [f"study.trials={trials}"]
    more += [] if hours is None else [f"study.hours={hours}"]
    more += [] if concurrent is None else [f"study.concurrent={concurrent}"]
    more += [] if name is None else [f"run.name={json.dumps(name, ensure_ascii=False)}"]
    loaded, told = space_for(space, tuple(more))
    for line in told:
        say(line)
    check_study(loaded.base.config)
    if or_resume:
        from famus_ray.begun import begun_study, of_study

        path = begun_study(loaded, space)
        if path is not None and not dry_run:
            _go_on(path, of_study(more), as_json)
            return
    from famus_ray.run_path import claimed_new, new_path

    stem = f"study-{loaded.name}"
    if dry_run:
        new_path(loaded.base.config, stem)
        from famus_ray.cli.dry_run import show_space

        show_space(loaded, as_json)
        return
    with (
        claimed_new(loaded.base.config, stem) as path,
        _shown_at_last(path, as_json),
        interruptible(path),
    ):
        say(f"searching {loaded.name} with {loaded.planned_trials()} trials in {shown(path)}")
        from famus_ray.progress.study_view import StudyProgress
        from famus_ray.scale.study import run_study

        with StudyProgress(loaded.base.config, loaded.planned_runs()) as progress:
            run_study(loaded, path, progress.on_trial, tell=say)


def resume(
    name: Name,
    overrides: Overrides = None,
    retry_failed: Annotated[
        bool, typer.Option("--retry-failed", help="Of a study, try again what failed.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Finish a run or study that was interrupted, however it was."""
    from famus_ray.cli.output import interruptible, say, show_run
    from famus_ray.records.folders import find_folder, is_study, load_config

    path, more = find_folder(name), tuple(overrides or ())
    if not is_study(path):
        epochs = load_config(path)["schedule"]["epochs"]
        with interruptible(path):
            say(f"going on with the run in {shown(path)}")
            from famus_ray.progress.epoch_bar import EpochProgress
            from famus_ray.scale.run import resume_run

            with EpochProgress(path.name, epochs) as run:
                result = resume_run(path, *more, on_epoch=run.on_epoch, on_step=run.on_step)
        show_run(result, as_json)
        return
    _go_on(path, more, as_json, retry_failed=retry_failed)


def _go_on(
    path: Path, overrides: tuple[str, ...], as_json: bool, *, retry_failed: bool = False
) -> None:
    """Finishes the study in the folder `path`."""
    from famus_ray.cli.output import interruptible, say

    with _shown_at_last(path, as_json), interruptible(path):
        say(f"going on with the study in {shown(path)}")
        from famus_ray.progress.study_view import progress_of
        from famus_ray.scale.study import resume_study

        with progress_of(path, overrides) as bar:
            left = resume_study(path, overrides, bar.on_trial, retry_failed=retry_failed, tell=say)
        if not left:
            say("nothing was left to do: all trials have ended")


def extend(
    name: Name,
    trials: Annotated[int, typer.Option(min=1, help="How many trials to add.")],
    as_json: AsJson = False,
) -> None:
    """Add trials to a study; its searcher knows all that came before."""
    from famus_ray.cli.output import interruptible, say
    from famus_ray.records.folders import find_folder

    path = find_folder(name)
    with _shown_at_last(path, as_json), interruptible(path):
        say(f"opening the study in {path}, to add {trials} {'trial' if trials == 1 else 'trials'}")
        from famus_ray.progress.study_view import progress_of
        from famus_ray.scale.study import extend_study

        with progress_of(path, more_trials=trials) as bar:
            extend_study(path, trials, bar.on_trial, tell=say)


@contextmanager
def _shown_at_last(path: Path, as_json: bool) -> Iterator[None]:
    """Shows a study's results at the end, also after an early stop; then exits with 1."""
    from famus_ray.cli.output import say, show_study
    from famus_ray.errors import StudyStopped

    try:
        yield
    except StudyStopped as error:
        say(f"famus-ray: {error}")
        show_study(path, as_json)
        sys.exit(1)
    show_study(path, as_json)
