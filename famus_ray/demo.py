"""The demo: the whole workflow (tune, retrain, compare, report) on real images in minutes."""

from __future__ import annotations

import json
import time
from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from famus_ray.config.resolve import resolve
from famus_ray.config.schema import Config, ScaleConfig
from famus_ray.errors import UserError
from famus_ray.files import write_text
from famus_ray.progress.epoch_bar import EpochProgress
from famus_ray.progress.study_view import StudyProgress
from famus_ray.reading.loaded import load
from famus_ray.reading.report import write_report
from famus_ray.reading.retrained import comparison, load_retrained
from famus_ray.reading.trials import BestTrial, why_no_best
from famus_ray.run_path import claimed_new
from famus_ray.scale.cluster import available_cpus, cluster
from famus_ray.scale.many import train_many
from famus_ray.scale.study import run_study
from famus_ray.scale.workers import train_on_workers
from famus_ray.spaces.space import Space, load_space

__all__ = ["DemoResult", "run_demo"]

TRIALS, EPOCHS, SEEDS = 10, 30, (1, 2, 3)
METHODS = ("ce", "mwnet", "famus")

# Searched settings that other methods have, too: they get the tuned values, for a fair comparison.
_SHARED = {"ce": ("optimiser.lr",), "mwnet": ("optimiser.lr", "meta.lr")}


@dataclass(frozen=True)
class DemoResult:
    """The results of the demo; accuracies are shares in [0, 1].

    Attributes:
        study: folder of the study.
        model: folder of the run trained with Ray Train.
        report: the study's `report.html`.
        best: the best trial.
        table: one row per method, from `reading.retrained.comparison`.
        seconds: duration of the demo.
    """

    study: Path
    model: Path
    report: Path
    best: BestTrial
    table: pd.DataFrame
    seconds: float


def run_demo(
    root: str = "runs", noise_rate: float = 0.4, say: Callable[[str], None] = print
) -> DemoResult:
    """Tunes FaMUS on noisy digits, compares its best trial with other methods, writes a report.

    Args:
        root: folder of the study.
        noise_rate: share in [0, 1] of the labels that are redrawn.
        say: called with messages on the progress.
    """
    began = time.monotonic()
    space = load_space("famus", _overrides(root, noise_rate))
    with claimed_new(space.base.config, f"study-{space.name}") as path:
        say(
            f"1/3  Tuning FaMUS on handwritten digits, {noise_rate:.0%} of the labels redrawn "
            f"({TRIALS} trials)"
        )
        return _run_all(space, path, say, began)


def _run_all(space: Space, path: Path, say: Callable[[str], None], began: float) -> DemoResult:
    with cluster(ScaleConfig()):
        best = _tune(space, path)
        settings = " ".join(f"{k}={_short(v)}" for k, v in best.settings.items())
        say(f"     best: trial {best.number}, validation {best.value:.2%}: {settings}")
        seeds = ", ".join(map(str, SEEDS))
        say(f"2/3  CE, MW-Net and the best FaMUS for {EPOCHS} epochs, seeds {seeds}")
        _retrain(space.base.config, path, best)
        workers = min(2, available_cpus())
        say(f"3/3  The best configuration with Ray Train, {workers} data-parallel worker(s)")
        model = _train_model(space.base.config, path, best, workers)
    table = comparison(load_retrained(path))
    write_text(path / "comparison.csv", table.to_csv(index=False))
    report = write_report(path)
    return DemoResult(path, model, report, best, table, time.monotonic() - began)


def _overrides(root: str, noise_rate: float) -> tuple[str, ...]:
    return (
        f"run.root={root}",
        f"noise.rate={noise_rate}",
        f"schedule.epochs={EPOCHS}",
        f"study.trials={TRIALS}",
        "study.grace_epochs=4",
    )


def _tune(space: Space, path: Path) -> BestTrial:
    progress = StudyProgress(space.base.config, TRIALS)
    with progress:
        run_study(space, path, progress.on_trial)
    found = load(path)
    best = found.best
    if best is None:
        raise UserError(why_no_best(found.trials, path))
    return best


def _retrain(base: Config, path: Path, best: BestTrial) -> None:
    runs = []
    for seed in SEEDS:
        for method in METHODS:
            shared = _SHARED.get(method, tuple(best.settings))
            chosen = {k: v for k, v in best.settings.items() if k in shared}
            config = _changed(base, chosen, {"method.name": method, "run.seed": seed})
            runs.append((config, path / "retrained" / f"{method}-seed{seed}"))
    progress = EpochProgress("runs", len(runs))
    with progress:
        done: list[Path] = []

        def on_done(finished: Path) -> None:
            done.append(finished)
            progress.show(len(done), finished.name)

        train_many(runs, on_done)


def _train_model(base: Config, path: Path, best: BestTrial, workers: int) -> Path:
    config = _changed(base, best.settings, {"scale.workers": workers, "run.seed": SEEDS[0]})
    progress = EpochProgress("epochs", config.schedule.epochs)
    with progress:
        train_on_workers(config, path / "model", progress.on_epoch)
    return path / "model"


def _changed(base: Config, *changes: dict[str, Any]) -> Config:
    overrides = [f"{k}={json.dumps(v)}" for change in changes for k, v in change.items()]
    return resolve(values=base.model_dump(mode="json"), overrides=overrides).config


def _short(value: Any) -> str:
    return f"{value:.3g}" if isinstance(value, float) else str(value)
