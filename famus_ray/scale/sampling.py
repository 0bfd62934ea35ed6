"""Optuna's sampler and pruner for a study's settings."""

from __future__ import annotations

import optuna
from optuna.pruners import BasePruner
from optuna.samplers import BaseSampler

from famus_ray.config.import_path import is_import_path, own
from famus_ray.config.schema import Config, StudyConfig
from famus_ray.errors import UserError
from famus_ray.randomness import epoch_seed

__all__ = ["new_pruner", "new_sampler"]


def new_sampler(kind: str, study: StudyConfig, number: int) -> BaseSampler:
    """The sampler that draws trial `number`, seeded by the study's seed and the number.

    Args:
        kind: a name of `study.searcher`, or an import path.
        study: section `study` of the config.
        number: of the trial, from 0.
    """
    seed = epoch_seed(study.seed, "search", number) % 2**32
    first = study.startup_trials
    if is_import_path(kind):
        return _of_the_user(kind, study, seed)
    samplers = optuna.samplers
    if kind == "tpe":
        return samplers.TPESampler(
            seed=seed,
            n_startup_trials=first,
            multivariate=True,
            group=True,  # conditional settings have models of their own
            constant_liar=not study.minimise,  # parallel trials spread out
        )
    if kind == "gp":
        return samplers.GPSampler(seed=seed, n_startup_trials=first)
    if kind == "qmc":
        return samplers.QMCSampler(scramble=True, seed=study.seed)  # one sequence for all trials
    if kind in ("nsga2", "nsga3"):
        evolution = samplers.NSGAIISampler if kind == "nsga2" else samplers.NSGAIIISampler
        return evolution(seed=seed, population_size=max(2, first))
    if kind == "cmaes":
        return samplers.CmaEsSampler(seed=seed, n_startup_trials=first)
    return samplers.RandomSampler(seed=seed)


def _of_the_user(path: str, study: StudyConfig, seed: int) -> BaseSampler:
    sampler = own("study.searcher", path)(study, seed)
    if not isinstance(sampler, BaseSampler):
        kind = type(sampler).__name__
        raise UserError(f"study.searcher = {path}: gave a {kind}, not a sampler of Optuna's")
    return sampler


def new_pruner(config: Config) -> BasePruner:
    """The pruner of a study whose trials have `schedule.epochs` epochs."""
    study, budget = config.study, config.schedule.epochs
    grace = min(config.grace_epochs, budget)
    pruners = optuna.pruners
    if study.scheduler == "asha":
        return pruners.SuccessiveHalvingPruner(
            min_resource=grace, reduction_factor=study.reduction_factor
        )
    if study.scheduler == "hyperband":
        return pruners.HyperbandPruner(
            min_resource=grace, max_resource=budget, reduction_factor=study.reduction_factor
        )
    if study.scheduler == "median":
        return pruners.MedianPruner(n_startup_trials=study.startup_trials, n_warmup_steps=grace - 1)
    return pruners.NopPruner()
