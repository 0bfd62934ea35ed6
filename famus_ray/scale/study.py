"""A study: Ray Tune runs the trials, Optuna suggests and prunes, the ledger remembers."""

from __future__ import annotations

from pathlib import Path

from famus_ray.config.space import Space, saved_space
from famus_ray.config.study_checks import check_study
from famus_ray.errors import UserError
from famus_ray.files import write_text
from famus_ray.ledger import holding, trials_table
from famus_ray.loop import check
from famus_ray.run_folder import RunFolder, config_text
from famus_ray.run_path import new_path
from famus_ray.scale.capacity import Capacity, check_fits
from famus_ray.scale.cluster import cluster, ctrl_c, ray_log
from famus_ray.scale.join import check_address
from famus_ray.scale.reports import OnTrial, TrialNews
from famus_ray.scale.search import Search
from famus_ray.scale.shares import check_shares
from famus_ray.tables import TRIALS, write_table
from famus_ray.trial_check import check_trials

__all__ = ["OnTrial", "TrialNews", "extend_study", "new_study_path", "resume_study", "run_study"]


def new_study_path(space: Space) -> Path:
    """The folder for a study, not made yet.

    Raises:
        UserError: it is there already.
    """
    return new_path(space.base.config, f"study-{space.name}")


def run_study(space: Space, path: Path, on_trial: OnTrial = lambda news: None) -> None:
    """Run the study's trials; what comes of each is in the ledger the moment it is known.

    Raises:
        UserError: a trial needs more than the cluster has, data are missing, or the metric is
            not a curve of this run.
        KeyboardInterrupt: Ctrl-C; trials that had begun are `interrupted` in the table.
    """
    config = space.base.config
    check_study(config)
    check_address(config.scale)
    data = check(config)
    check_shares(config, data)
    check_trials(space, data)
    with cluster(config.scale):
        check_fits(config.scale)
        with holding(path / "ledger.jsonl"):
            RunFolder(path).begin(config, data)
            write_text(path / "space.yaml", space.text)
            _run(space, path, on_trial)


def resume_study(
    path: Path, overrides: tuple[str, ...] = (), on_trial: OnTrial = lambda news: None
) -> int:
    """How many trials were left to run, when they have run: finishes what was begun in the
    folder `path`, from its ledger alone.

    Trials that have ended stay as they are; those under way go on from their checkpoints;
    those that failed because their process or node was lost begin again.

    Args:
        overrides: settings that change no number, such as study.concurrent; those of the study
            stay, for whoever resumes or extends it next.

    Raises:
        UserError: no study there, another process is running it, or other settings.
    """
    space = saved_space(path, overrides)
    config = space.base.config
    check_study(config)
    RunFolder(path).check_same(config)
    check_address(config.scale)
    if any(path.glob("trials/*")) and not (path / "ledger.jsonl").is_file():
        raise UserError(f"{path}: has trials, but ledger.jsonl, which knows of them, is gone")
    with holding(path / "ledger.jsonl"):
        saved = saved_space(path).base.config
        search = Search(space, path / "ledger.jsonl")
        if config.study.trials != saved.study.trials and config.study.searcher == "grid":
            raise UserError("study.trials: a grid has all its trials; leave it out")
        if search.drawn > config.study.trials != saved.study.trials:
            raise UserError(
                f"study.trials = {config.study.trials}: {search.drawn} were begun and stay; "
                f"leave it out to finish those, or add more with famus-ray extend {path}"
            )
        if search.left:
            RunFolder(path).check_data(check(config))
        if saved.study != config.study:
            kept = saved.model_copy(update={"study": config.study})
            write_text(path / "config.yaml", config_text(kept))
        if not (left := search.left):
            return 0
        with cluster(config.scale):
            check_fits(config.scale)
            _run(space, path, on_trial)
    return left


def extend_study(path: Path, trials: int, on_trial: OnTrial = lambda news: None) -> None:
    """Add `trials` to a study and run them; the searcher knows all that came before.

    Raises:
        UserError: as `resume_study`, and a grid, which has no more.
    """
    if trials < 1:
        raise UserError(f"trials = {trials}: must be >= 1")
    config = saved_space(path).base.config
    if config.study.searcher == "grid":
        raise UserError(f"{path}: a grid has all its trials; there are none to add")
    more = {"trials": config.study.trials + trials}
    config = config.model_copy(update={"study": config.study.model_copy(update=more)})
    with holding(path / "ledger.jsonl"):
        write_text(path / "config.yaml", config_text(config))
    resume_study(path, on_trial=on_trial)


def _run(space: Space, path: Path, on_trial: OnTrial) -> None:
    with ray_log(path / "ray.log"), ctrl_c():
        try:
            _fit(space, path, on_trial)
        finally:
            write_table(path / "trials.parquet", TRIALS, trials_table(path / "ledger.jsonl"))


def _fit(space: Space, path: Path, on_trial: OnTrial) -> None:
    from ray import tune

    from famus_ray.scale.trial import RunTrial
    from famus_ray.scale.tuning import Asking, Ending, Telling
    from famus_ray.scale.worker_group import bundles

    config = space.base.config
    search = Search(space, path / "ledger.jsonl", on_trial)
    trainable = tune.with_resources(
        tune.with_parameters(
            RunTrial, base=config.model_dump(mode="json"), folder=str(path.absolute())
        ),
        tune.PlacementGroupFactory(bundles(config.scale)),
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=Asking(search, Capacity(config.scale, config.study.concurrent)),
            scheduler=Ending(search),
            num_samples=search.left,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(path.absolute()),
            checkpoint_config=tune.CheckpointConfig(checkpoint_at_end=False),
            callbacks=[Telling(search)],
            failure_config=tune.FailureConfig(max_failures=config.study.retries),
            verbose=0,
        ),
    )
    tuner.fit()
