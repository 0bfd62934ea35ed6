"""A study: Ray Tune runs the trials, Optuna suggests and prunes, the ledger records."""

from __future__ import annotations

from collections.abc import Callable
from contextlib import suppress
from pathlib import Path
from shlex import quote

from famus_ray.config.resolve import resolve
from famus_ray.errors import StudyStopped, UserError
from famus_ray.files import write_text
from famus_ray.own_parts import moved_data
from famus_ray.records.ledger import FINAL, holding, trials_table
from famus_ray.records.run_folder import RunFolder, config_text
from famus_ray.records.saved_space import saved_space
from famus_ray.records.tables import TRIALS, write_table
from famus_ray.run_path import new_path
from famus_ray.scale.capacity import Capacity, check_fits, check_fits_here
from famus_ray.scale.cluster import cluster, ctrl_c, ray_log
from famus_ray.scale.join import check_address
from famus_ray.scale.parcel import parcel, settings_of
from famus_ray.scale.reopening import reopened
from famus_ray.scale.reports import OnTrial, TrialNews
from famus_ray.scale.search import Search
from famus_ray.scale.shares import check_shares
from famus_ray.scale.time_budget import done_within
from famus_ray.scale.trial_check import check_trials
from famus_ray.spaces.space import Space
from famus_ray.spaces.study_checks import check_study
from famus_ray.training.loop import checked_data

__all__ = ["OnTrial", "TrialNews", "extend_study", "new_study_path", "resume_study", "run_study"]

Tell = Callable[[str], None]


def new_study_path(space: Space) -> Path:
    """The folder for a new study; it is not created here.

    Raises:
        UserError: the folder exists already.
    """
    return new_path(space.base.config, f"study-{space.name}")


def run_study(
    space: Space,
    path: Path,
    on_trial: OnTrial = lambda news: None,
    *,
    tell: Tell = lambda line: None,
) -> None:
    """Runs the trials of a new study; the ledger records every result at once.

    Args:
        space: the search space.
        path: the study's folder.
        on_trial: called with every event of a trial.
        tell: called with a message for the user.

    Raises:
        UserError: a trial needs more than the cluster has, data are missing, or the metric is
            not a curve of this run.
        StudyStopped: it stopped early, because trials fail for the same reason or the machine is
            at fault; or every trial failed.
        KeyboardInterrupt: Ctrl-C; running trials are `interrupted` in the table.
    """
    config = space.base.config
    check_study(config)
    check_address(config.scale)
    check_fits_here(config.scale)
    data = checked_data(config)
    check_shares(config, data)
    check_trials(space, data)
    with cluster(config.scale):
        check_fits(config.scale)
        with holding(path / "ledger.jsonl"):
            RunFolder(path).begin(config, data)
            write_text(path / "space.yaml", space.text)
            reopened(path, space).write()
            _run_in_time(space, path, on_trial, tell)


def resume_study(
    path: Path,
    overrides: tuple[str, ...] = (),
    on_trial: OnTrial = lambda news: None,
    *,
    retry_failed: bool = False,
    tell: Tell = lambda line: None,
) -> int:
    """Finishes the study in the folder `path` from its ledger; returns the trials that were left.

    Finished trials do not change. Interrupted trials continue from their checkpoints, with the
    settings that they started with. Trials that failed because their process, node or disk failed
    start again. New trials are drawn from the current space.

    Args:
        path: the study's folder.
        overrides: settings that do not change results, such as `study.concurrent=2`. Those of
            section `study` are saved for the next `resume` or `extend`.
        on_trial: called with every event of a trial.
        retry_failed: also run trials again that failed for another reason.
        tell: called with a message for the user on each change.

    Returns:
        The number of trials that were left to run.

    Raises:
        UserError: no study in the folder, another process is running it, other settings, or a
            change after which earlier trials could not be compared with new ones.
        StudyStopped: as in `run_study`.
    """
    overrides = (*moved_data(path), *overrides)
    space = saved_space(path, overrides)
    RunFolder(path).check_same(resolve(path / "config.yaml", overrides).config)
    config, saved = space.base.config, saved_space(path).base.config
    check_address(config.scale)
    opened = reopened(path, space)
    if config.study.trials != saved.study.trials and config.study.searcher == "grid":
        raise UserError("study.trials: a grid has all its trials; leave it out")
    if opened.drawn > config.study.trials != saved.study.trials:
        raise UserError(
            f"study.trials = {config.study.trials}: {opened.drawn} were begun and stay; "
            f"leave it out to finish those, or add more with famus-ray extend {path}"
        )
    if retry_failed or opened.ended < space.planned_runs():
        RunFolder(path).check_data(opened.data or checked_data(config))
    with holding(path / "ledger.jsonl"):
        kept = saved.model_copy(update={"study": config.study})
        if (text := config_text(kept)) != (path / "config.yaml").read_text(encoding="utf-8"):
            write_text(path / "config.yaml", text)
        opened.write(retry_failed=retry_failed)
        search = Search(space, path / "ledger.jsonl")
        for line in opened.lines(search.left_out):
            tell(line)
        if not (left := search.left):
            return 0
        with cluster(config.scale):
            check_fits(config.scale)
            _run_in_time(space, path, on_trial, tell)
    return left


def extend_study(
    path: Path,
    trials: int,
    on_trial: OnTrial = lambda news: None,
    *,
    tell: Tell = lambda line: None,
) -> None:
    """Adds `trials` trials to a study and runs them; the searcher knows the earlier ones.

    Args:
        path: the study's folder.
        trials: number of trials to add, at least 1.
        on_trial, tell: as in `resume_study`.

    Raises:
        UserError: as in `resume_study`, or the study is a grid, which has no further trials.
        StudyStopped: as in `run_study`.
    """
    if trials < 1:
        raise UserError(f"trials = {trials}: must be >= 1")
    study = saved_space(path).base.config.study
    if study.searcher == "grid":
        raise UserError(f"{path}: a grid has all its trials; there are none to add")
    resume_study(path, (f"study.trials={study.trials + trials}",), on_trial, tell=tell)


def _run_in_time(space: Space, path: Path, on_trial: OnTrial, tell: Tell) -> None:
    """Runs the trials, and ends when the time of `study.hours` is used up."""
    hours, ledger = space.base.config.study.hours, path / "ledger.jsonl"
    if done_within(hours, ledger, lambda: _run(space, path, on_trial)):
        return
    states = trials_table(ledger)["state"]
    ended = int(states.isin(FINAL).sum())
    cut = int((~states.isin(FINAL)).sum())
    tell(
        f"study.hours = {hours:g}: the time is used up; {ended} of {space.planned_runs()} trials "
        f"have ended, {cut} were cut and go on from their checkpoints; "
        f"`famus-ray resume {quote(str(path))} study.hours={2 * (hours or 0):g}` goes on"
    )


def _run(space: Space, path: Path, on_trial: OnTrial) -> None:
    with ray_log(path / "ray.log"), ctrl_c():
        search = Search(space, path / "ledger.jsonl", on_trial)
        try:
            _fit(search, space, path)
        except OSError:  # on a full disk Ray's own files cannot be written either
            if not search.failures.why:
                raise
        finally:
            with suppress(OSError):  # a full disk; the ledger holds the same data
                write_table(path / "trials.parquet", TRIALS, trials_table(path / "ledger.jsonl"))
    if why := search.failures.why_not_done():
        raise StudyStopped(f"{path}: {why.format(resume=f'famus-ray resume {quote(str(path))}')}")


def _fit(search: Search, space: Space, path: Path) -> None:
    from ray import tune

    from famus_ray.scale.trial import RunTrial
    from famus_ray.scale.tuning import StudyCallback, StudyScheduler, StudySearcher
    from famus_ray.scale.worker_group import bundles

    config = space.base.config
    searched = [value for _, settings in space.cases() for value in settings.values()]
    trainable = tune.with_resources(
        tune.with_parameters(
            RunTrial,
            base=config.model_dump(mode="json"),
            folder=str(path.absolute()),
            parcel=parcel([*settings_of(config), *searched]),
        ),
        tune.PlacementGroupFactory(bundles(config.scale)),
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=StudySearcher(search, Capacity(config.scale, config.study.concurrent)),
            scheduler=StudyScheduler(search),
            num_samples=search.left,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(path.absolute()),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[StudyCallback(search)],
            failure_config=tune.FailureConfig(max_failures=config.study.retries),
            verbose=0,
        ),
    )
    tuner.fit()
