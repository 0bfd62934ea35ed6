"""Settings of the run, its workers and its study."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from famus_ray.config.import_path import names_schema, one_of
from famus_ray.config.section import Distinct, Float, Int, Number, Section, Seed, Text

__all__ = ["RunConfig", "ScaleConfig", "StudyConfig"]


_SEARCHERS = ("tpe", "random", "grid", "qmc", "gp", "nsga2", "nsga3", "cmaes")


class RunConfig(Section):
    """The run itself."""

    name: str | None = Field(None, min_length=1)
    """Folder under run.root; made from method and data when left out."""
    root: str = "runs"
    """Folder that holds the runs."""
    seed: Seed = 0
    """Decides everything random: same seed, same machine, same workers, same numbers."""
    batch_size: Int = Field(64, ge=1, le=10_000_000)
    """Training examples a step, over all workers together."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU where there is one."""
    threads: Annotated[int, Field(ge=1, le=1024), Number] | None = None
    """CPU threads of each worker; its share of the cores when left out."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16: the network's forward under autocast; weights, heads and meta model in float32."""
    channels_last: bool | None = None
    """Memory order of images and filters; yes on a GPU, no on a CPU when left out."""
    cuda_graph: bool = False
    """On a GPU: the step is captured once an epoch and replayed as one CUDA graph. For one worker,
    and a step that is the same each time."""
    checkpoint_every: Int = Field(1, ge=1, le=1_000_000)
    """Epochs between checkpoints."""
    diagnose_every: Int = Field(10, ge=0, le=1_000_000)
    """Epochs between diagnostics: how gating changes the meta gradient on four batches, and the
    weights of right and wrong labels; 0 leaves them out."""
    track: Annotated[tuple[Literal["tensorboard", "mlflow", "wandb"], ...], Distinct] = ()
    """Trackers that get a copy of the curves, epoch by epoch."""
    select: Literal["validation", "test"] = "validation"
    """The split that picks the best epoch; test only to compare with papers that do so."""


class ScaleConfig(Section):
    """Workers, and the Ray cluster they run on."""

    workers: Int = Field(1, ge=1, le=10_000)
    """Data-parallel processes of one run."""
    cpus_per_worker: Float = Field(1.0, ge=0.01, le=10_000)
    """CPU cores of each worker."""
    gpus_per_worker: Float = Field(0.0, ge=0, le=1000)
    """GPUs of each worker; 0 trains on CPUs."""
    address: Text | None = None
    """Ray cluster to join; a local one is started and stopped when left out."""
    autoscaling: bool = False
    """The cluster adds nodes when asked: what does not fit waits for them and is not refused."""


class StudyConfig(Section):
    """The search for good settings."""

    trials: Int = Field(16, ge=1, le=1_000_000)
    """Configurations to try; a grid has as many as it has."""
    hours: Annotated[float, Field(gt=0, le=100_000), Number] | None = None
    """Time of running after which the study ends by itself, to be gone on with later: of all its
    commands together, `resume` too. No limit when left out."""
    concurrent: Annotated[int, Field(ge=1, le=100_000), Number] | None = None
    """Trials at the same time; as many as the cluster holds when left out."""
    metric: Text = "validation/top1"
    """Curve that is maximised."""
    minimise: Annotated[tuple[Text, ...], Field(max_length=100), Distinct] = ()
    """More objectives: curves that are minimised, such as time/step."""
    constraints: Annotated[tuple[Text, ...], Field(max_length=100), Distinct] = ()
    """Bounds on curves, such as `time/step <= 0.05`; a trial that breaks one is never the best."""
    seeds: Int = Field(1, ge=1, le=10_000)
    """Runs of each configuration, with run.seed, run.seed + 1, ...; its value is their mean."""
    leaders: Int = Field(0, ge=0, le=100_000)
    """Best configurations that are trained again once the search is over."""
    leader_seeds: Int = Field(5, ge=1, le=10_000)
    """Further seeds that each leader is trained with."""
    searcher: Annotated[
        Text, one_of(_SEARCHERS, "mine.search:sampler"), names_schema(_SEARCHERS)
    ] = "tpe"
    """tpe: tree-structured Parzen estimator; random; grid: every combination; qmc: an even
    spread; gp: Gaussian process; nsga2, nsga3: evolution, for several objectives (nsga3 for
    three or more); cmaes: evolution strategy, for numbers (needs the extra `search`); or the
    import path of a function of your own, from this section and a seed to an Optuna sampler."""
    scheduler: Literal["asha", "hyperband", "median", "pbt", "none"] = "asha"
    """What ends poor trials early: successive halving, HyperBand, the median rule, nothing; pbt:
    population based training, in which children of good trials go on in the place of poor ones."""
    seed: Seed = 0
    """Seed of the searcher."""
    startup_trials: Int = Field(5, ge=1, le=1_000_000)
    """Random trials before the searcher models the results."""
    grace_epochs: Annotated[int, Field(ge=1, le=1_000_000), Number] | None = None
    """Epochs before a trial can be pruned; a third of schedule.epochs when left out: with noisy
    labels what learns fastest at first is often not what ends best."""
    reduction_factor: Int = Field(3, ge=2, le=1000)
    """At each rung one trial in so many goes on (asha, hyperband)."""
    exploit_every: Int = Field(5, ge=1, le=1_000_000)
    """Epochs after which the poorest quarter of the population is replaced (pbt)."""
    retries: Int = Field(2, ge=0, le=1000)
    """How often a trial is begun again whose process or node was lost."""
