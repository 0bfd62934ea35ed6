"""The runs of one configuration, one per seed, trained epoch by epoch."""

from __future__ import annotations

import statistics
import time
from collections.abc import Iterator, Sequence
from pathlib import Path
from typing import Any

from famus_ray.config.schema import Config, StudyConfig
from famus_ray.data.catalog import Dataset, load_dataset
from famus_ray.errors import UserError
from famus_ray.records.judgement import best_value, measured
from famus_ray.records.run_folder import RunFolder
from famus_ray.scale.reports import Report
from famus_ray.spaces.constraints import read_constraint
from famus_ray.training.loop import EpochReport, epochs

__all__ = ["DatasetCache", "SeededRuns", "seed_configs", "seed_folders"]


class DatasetCache:
    """The data sets of the latest configuration, kept in memory for the next one."""

    def __init__(self) -> None:
        self._kept: dict[Any, Dataset] = {}

    def load(self, configs: Sequence[Config]) -> list[Dataset]:
        """The data set of each config; loads only those that are not kept already."""
        keys = [_key(config) for config in configs]
        self._kept = {key: self._kept[key] for key in keys if key in self._kept}
        for key in keys:
            if key not in self._kept:
                self._kept[key] = load_dataset(*key)
        return [self._kept[key] for key in keys]


class SeededRuns:
    """Trains a configuration with each of its seeds; `step` trains all runs for an epoch.

    It continues from the checkpoints in the folder. All runs stay in memory, so that a trial can
    be judged and pruned by its mean over seeds after any epoch.

    Args:
        config: of the trial.
        folder: of the trial.
        cache: data sets of the process.
    """

    def __init__(self, config: Config, folder: Path, cache: DatasetCache) -> None:
        configs = seed_configs(config)
        data = cache.load(configs)
        self._study = config.study
        self._constraints = [read_constraint(text) for text in config.study.constraints]
        self._seconds = 0.0
        self._runs = [
            _Run(one, RunFolder(path), dataset)
            for one, path, dataset in zip(configs, seed_folders(config, folder), data, strict=True)
        ]

    def step(self) -> Report:
        """The results of the runs at the next epoch that all of them reach.

        Raises:
            Diverged: a run's loss is not finite.
            UserError: a run that cannot start.
        """
        began = time.perf_counter()
        for run in self._runs:
            run.advance()
        epoch = max(run.epoch for run in self._runs)
        for run in self._runs:  # after a crash some may be behind
            while run.epoch < epoch:
                run.advance()
        self._seconds += time.perf_counter() - began
        values = [run.best(self._study.metric) for run in self._runs]
        return Report(
            epoch=epoch,
            value=statistics.fmean(values),
            latest=statistics.fmean(run.latest(self._study.metric) for run in self._runs),
            value_std=statistics.stdev(values) if len(values) > 1 else None,
            costs={name: self._measured(name) for name in self._study.minimise},
            excess={c.text: c.excess(self._measured(c.curve)) for c in self._constraints},
            seconds=self._seconds,
        )

    def _measured(self, curve: str) -> float:
        return statistics.fmean(run.measured(curve, self._study) for run in self._runs)


class _Run:
    def __init__(self, config: Config, folder: RunFolder, data: Dataset) -> None:
        self._budget = config.schedule.epochs
        self._folder = folder
        self._reports: Iterator[EpochReport] = epochs(config, folder, data=data)
        self._history: dict[int, dict[str, float]] | None = None
        self.epoch = 0

    def advance(self) -> None:
        """Trains one epoch; after the last one also lets the loop finish the run."""
        report = next(self._reports, None)
        self.epoch = self._budget if report is None else report.epoch
        if self._history is None:  # a resumed run has earlier epochs in its folder
            self._history = self._earlier(self.epoch if report is None else self.epoch - 1)
        if report is not None:
            self._history[report.epoch] = report.metrics
            if report.epoch == self._budget:
                next(self._reports, None)

    def best(self, metric: str) -> float:
        return best_value(self._history or {}, metric)

    def latest(self, metric: str) -> float:
        return (self._history or {})[self.epoch][metric]

    def measured(self, name: str, study: StudyConfig) -> float:
        """The mean over epochs of a time; the value at the best epoch of any other curve.

        Raises:
            UserError: the run has no such curve.
        """
        history = self._history or {}
        if name not in history[self.epoch]:
            known = ", ".join(sorted(history[self.epoch]))
            raise UserError(f"study: {name} is not a curve of this run; there are {known}")
        return measured(history, name, study.metric)

    def _earlier(self, up_to_epoch: int) -> dict[int, dict[str, float]]:
        history: dict[int, dict[str, float]] = {}
        if up_to_epoch and self._folder.curves.is_file():
            for epoch, metric, value in self._folder.read_curves(up_to_epoch):
                history.setdefault(epoch, {})[metric] = value
        return history


def seed_configs(config: Config) -> list[Config]:
    """The config with each of its seeds: run.seed, run.seed + 1, ..."""
    seeds = range(config.run.seed, config.run.seed + config.study.seeds)
    return [
        config.model_copy(update={"run": config.run.model_copy(update={"seed": seed})})
        for seed in seeds
    ]


def seed_folders(config: Config, folder: Path) -> list[Path]:
    """The run folder of each seed; with one seed it is the trial's folder."""
    if config.study.seeds == 1:
        return [folder]
    return [folder / f"seed-{one.run.seed}" for one in seed_configs(config)]


def _key(config: Config) -> Any:
    return config.data, config.noise, config.run.seed
