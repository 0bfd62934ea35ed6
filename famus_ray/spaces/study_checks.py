"""Checks of a study's settings, and of a space for a grid or a population."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from importlib.util import find_spec

from famus_ray.config.import_path import is_import_path, own
from famus_ray.config.methods import method_named
from famus_ray.config.mistakes import joined
from famus_ray.config.resolve import Resolved
from famus_ray.config.schema import Config, StudyConfig
from famus_ray.errors import UserError
from famus_ray.spaces.constraints import check_curve, read_constraint
from famus_ray.spaces.ranges import FloatRange, Range, Searched
from famus_ray.spaces.read_by import methods_tried
from famus_ray.spaces.space_walk import Walk, describe_size

__all__ = [
    "TRIALS_PER_CHILD",
    "changes_in_run",
    "check_study",
    "grid_problems",
    "population_problems",
]

_MOST_OF_A_GRID = 10**5

TRIALS_PER_CHILD = 4  # pbt replaces one trial in four


def changes_in_run(method: str) -> tuple[str, ...]:
    """The settings that may change during a run of this method, and that pbt perturbs."""
    return ("optimiser.lr", *method_named(method).changes_in_run)


def check_study(config: Config) -> None:
    """Raises UserError, with all problems, for a study that cannot run with any space."""
    problems = [*_of_metric(config), *_of_objectives(config.study), *_of_curves(config.study)]
    problems += [*_of_population(config), *_of_seeds(config)]
    if config.study.searcher == "cmaes" and find_spec("cmaes") is None:
        problems.append(
            "study.searcher = cmaes: needs another package; pip install 'famus-ray[search]'"
        )
    if is_import_path(config.study.searcher):
        own("study.searcher", config.study.searcher)
    if problems:
        raise UserError(joined("study", problems) if len(problems) > 1 else problems[0])


def _of_metric(config: Config) -> Iterator[str]:
    metric = config.study.metric
    split, _, quantity = metric.partition("/")
    if split not in ("validation", "test") or quantity not in ("top1", "top5"):
        yield (
            f"study.metric = {metric}: must be a curve that grows with quality, "
            "validation/top1 or validation/top5"
        )
    elif split != config.run.select:
        yield (
            f"study.metric = {metric}: run.select is {config.run.select}; a study "
            "and its runs select on the same split"
        )


def _of_objectives(study: StudyConfig) -> Iterator[str]:
    if study.minimise and study.scheduler != "none":
        yield (
            f"study.scheduler = {study.scheduler}: with several objectives no trial is plainly "
            "the worse; set study.scheduler=none"
        )
    if study.minimise and study.searcher == "cmaes":
        yield "study.searcher = cmaes: knows one objective only; try nsga2"
    if study.minimise and study.leaders:
        yield (f"study.leaders = {study.leaders}: with several objectives none leads; leave it out")
    if study.scheduler == "pbt" and study.leaders:
        yield (
            "study.leaders: what pbt finds is a schedule, which no single configuration repeats; "
            "leave it out"
        )
    if study.constraints and study.searcher in ("cmaes", "gp"):
        yield f"study.searcher = {study.searcher}: knows no constraints; try tpe, or nsga2"


def _of_curves(study: StudyConfig) -> Iterator[str]:
    for text in study.constraints:
        try:
            check_curve("study.constraints", read_constraint(text).curve)
        except UserError as error:
            yield str(error)
    for curve in study.minimise:
        try:
            check_curve("study.minimise", curve)
        except UserError as error:
            yield str(error)


def _of_population(config: Config) -> Iterator[str]:
    study = config.study
    if study.scheduler == "pbt" and not config.exploitations:
        yield (
            f"study.exploit_every = {study.exploit_every}: nothing is ever replaced in the "
            f"{config.schedule.epochs} epochs of a trial; lower it"
        )
    if study.scheduler == "pbt" and study.trials < TRIALS_PER_CHILD:
        yield (
            f"study.trials = {study.trials}: pbt replaces a quarter of them; take "
            f"{TRIALS_PER_CHILD} or more"
        )


def _of_seeds(config: Config) -> Iterator[str]:
    study = config.study
    seeds = study.seeds * (1 + (study.leader_seeds if study.leaders else 0))
    if config.run.seed + seeds > 2**32:
        yield (
            f"run.seed = {config.run.seed}: {seeds} seeds from it on go beyond {2**32 - 1}; take a "
            "lower one"
        )


def grid_problems(walk: Walk, base: Resolved) -> list[str]:
    """Reasons why a grid search of a space is not possible."""
    searched = {name: e for name, e in walk.entries.items() if isinstance(e, Searched)}
    found = [
        f"{name}: has no end of values for study.searcher = grid; give it a step, or choices"
        for name, entry in searched.items()
        if entry.count() is None
    ]
    if (size := walk.size() or 0) > _MOST_OF_A_GRID:
        counts = " x ".join(f"{entry.count()} of {name}" for name, entry in searched.items())
        found.append(
            f"study.searcher = grid: makes {describe_size(size)} ({counts}), and "
            f"may have {_MOST_OF_A_GRID}; take longer steps, or search with tpe"
        )
    if base.sources["study.trials"] != "default":
        found.append("study.trials: a grid has all its trials; leave it out")
    return found


def population_problems(entries: Mapping[str, Range], method: str) -> list[str]:
    """Reasons why population based training of a space is not possible: nothing to perturb.

    Args:
        entries: of the space, by setting.
        method: of the config that every trial starts from.
    """
    ranges = {name for name, entry in entries.items() if isinstance(entry, FloatRange)}
    tried = methods_tried(entries, method)
    may_change = dict.fromkeys(name for one in tried for name in changes_in_run(one))
    if ranges & may_change.keys():
        return []
    names = ", ".join(may_change)
    return [f"study.scheduler: pbt perturbs ranges of {names}; the space has none of them"]
