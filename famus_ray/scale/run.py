"""A run: here, or in Ray Train where its settings ask for several workers or a cluster."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from pathlib import Path

from famus_ray.config.resolve import resolve
from famus_ray.config.schema import Config
from famus_ray.reading.folders import RunSummary, load_curves, summarise
from famus_ray.records.claim import claimed
from famus_ray.records.folders import load_config
from famus_ray.records.run_folder import RunFolder
from famus_ray.training.allocator import keep_freed_memory
from famus_ray.training.loop import EpochReport, OnStep, check, epochs

__all__ = ["OnEpoch", "RunResult", "resume_run", "run_config"]

OnEpoch = Callable[[EpochReport], None]


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        path: its folder; `load_curves(path)` and `load_labels(path)` give its tables.
        config: its settings.
        summary: what it came to, accuracies as shares in [0, 1].
        was_finished: it was resumed, and nothing was left to do.
    """

    path: Path
    config: Config
    summary: RunSummary
    was_finished: bool = False


def run_config(
    config: Config,
    path: Path,
    *,
    resume: bool = False,
    on_epoch: OnEpoch = lambda report: None,
    on_step: OnStep = lambda epoch, step, steps: None,
) -> RunResult:
    """Train `config` in the folder `path`: here, or in Ray Train where the config asks for
    several workers or names a cluster. Whoever calls it has claimed the folder.

    Raises:
        UserError: settings or data that do not fit, another run than the one to resume, or one
            whose checkpoint is gone.
        Diverged: a loss that is not finite.
    """
    folder = RunFolder(path)
    finished = False
    if resume:
        folder.check_same(config)
        finished = folder.is_finished(config.schedule.epochs)
    if not finished:
        _train(config, folder, on_epoch, on_step)
    summary = summarise(load_curves(path), config.run.select)
    return RunResult(path, config, summary, was_finished=finished)


def _train(config: Config, folder: RunFolder, on_epoch: OnEpoch, on_step: OnStep) -> None:
    folder.check_checkpoints()
    if config.scale.workers > 1 or config.scale.address is not None:
        from famus_ray.scale.workers import train_on_workers

        train_on_workers(config, folder.path, on_epoch)
    else:
        import torch

        keep_freed_memory()
        if config.run.threads is not None:
            torch.set_num_threads(config.run.threads)
        for report in epochs(config, folder, data=check(config), on_step=on_step):
            on_epoch(report)


def resume_run(
    path: Path,
    *overrides: str,
    on_epoch: OnEpoch = lambda report: None,
    on_step: OnStep = lambda epoch, step, steps: None,
) -> RunResult:
    """Finish the run in the folder `path`, from its last checkpoint.

    Args:
        overrides: settings that change no number, such as run.threads.

    Raises:
        UserError: no run there, other settings or data, or another process is running it.
        Diverged: a loss that is not finite.
    """
    load_config(path)  # the UserError of a folder that is no run
    config = resolve(path / "config.yaml", overrides).config
    with claimed(path):
        return run_config(config, path, resume=True, on_epoch=on_epoch, on_step=on_step)
