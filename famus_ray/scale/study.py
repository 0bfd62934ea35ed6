"""A study: Ray Tune runs the trials, Optuna suggests them, ASHA prunes, the ledger remembers."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from famus_ray.config.space import Space, check_study
from famus_ray.errors import UserError
from famus_ray.files import write_text
from famus_ray.ledger import holding, trials_table
from famus_ray.loop import check
from famus_ray.run_folder import RunFolder, runs_root
from famus_ray.scale.cluster import cluster, ctrl_c, ray_log, trials_at_once
from famus_ray.tables import TRIALS, write_table

__all__ = ["OnTrial", "TrialNews", "new_study_path", "run_study"]


@dataclass(frozen=True)
class TrialNews:
    """Something that happened to a trial: started, reported, completed, pruned or failed."""

    event: str
    number: int
    trial_id: str
    epoch: int = 0
    value: float | None = None
    error: str | None = None


OnTrial = Callable[[TrialNews], None]


def new_study_path(space: Space) -> Path:
    """The folder for a study, not made yet.

    Raises:
        UserError: it is there already.
    """
    run = space.base.config.run
    root = runs_root(space.base.config)
    if run.name is not None:
        if ".." in Path(run.name).parts:
            raise UserError(f"run.name = {run.name}: must not leave {root}/")
        path = root / run.name
        if path.exists() and any(path.iterdir()):
            raise UserError(f"{path}: there already; choose another run.name")
        return path
    stem = f"study-{space.name}"
    names = [stem, *(f"{stem}-{i}" for i in range(2, 10_000))]
    return next(root / name for name in names if not (root / name).exists())


def run_study(space: Space, path: Path, on_trial: OnTrial = lambda news: None) -> None:
    """Run the study's trials; what comes of each is in the ledger the moment it is known.

    Raises:
        UserError: a trial needs more than the cluster has, data are missing, or the metric is
            not a curve of this run.
        KeyboardInterrupt: Ctrl-C; trials that had begun are `interrupted` in the table.
    """
    config = space.base.config
    check_study(config)
    data = check(config)
    with cluster(config.scale) as resources:
        concurrent = trials_at_once(config.scale, resources, config.study.concurrent)
        with holding(path / "ledger.jsonl"), ray_log(path / "ray.log"), ctrl_c():
            RunFolder(path).begin(config, data)
            write_text(path / "space.yaml", space.text)
            try:
                _fit(space, path, concurrent, on_trial)
            finally:
                write_table(path / "trials.parquet", TRIALS, trials_table(path / "ledger.jsonl"))


def _fit(space: Space, path: Path, concurrent: int, on_trial: OnTrial) -> None:
    from ray import tune
    from ray.tune.schedulers import ASHAScheduler

    from famus_ray.scale.ledger_callback import LedgerCallback
    from famus_ray.scale.search import Searcher
    from famus_ray.scale.trial import RunTrial

    config = space.base.config
    scale, study, budget = config.scale, config.study, config.schedule.epochs
    trainable = tune.with_resources(
        tune.with_parameters(
            RunTrial, base=config.model_dump(mode="json"), folder=str(path.absolute())
        ),
        {"CPU": scale.cpus_per_worker, "GPU": scale.gpus_per_worker},
    )
    tuner = tune.Tuner(
        trainable,
        tune_config=tune.TuneConfig(
            search_alg=Searcher(space, study, budget),
            scheduler=ASHAScheduler(
                time_attr="epoch",
                metric="value",
                mode="max",
                max_t=budget,
                grace_period=min(study.grace_epochs, budget),
                reduction_factor=study.reduction_factor,
            ),
            num_samples=study.trials,
            max_concurrent_trials=concurrent,
            reuse_actors=True,
        ),
        run_config=tune.RunConfig(
            name="ray",
            storage_path=str(path.absolute()),
            callbacks=[LedgerCallback(path / "ledger.jsonl", budget, on_trial)],
            verbose=0,
        ),
    )
    tuner.fit()
