"""A run: in this process, or in Ray Train if it has several workers or a cluster."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

from famus_ray.config.resolve import resolve
from famus_ray.config.schema import Config
from famus_ray.own_parts import moved_data
from famus_ray.reading.folders import load_curves
from famus_ray.reading.summary import RunSummary, summarise
from famus_ray.records.claim import claimed
from famus_ray.records.folders import load_config
from famus_ray.records.run_folder import RunFolder
from famus_ray.store import download, shown
from famus_ray.training.allocator import keep_freed_memory
from famus_ray.training.loop import OnEpoch, OnStep, checked_data, epochs

__all__ = ["RunResult", "resume_run", "run_config"]


@dataclass(frozen=True)
class RunResult:
    """A finished run.

    Attributes:
        path: its folder; `load_curves(path)` and `load_labels(path)` return its tables.
        config: its settings.
        summary: its results, accuracies as shares in [0, 1].
        was_finished: whether it was resumed after its end, so that nothing was trained.
    """

    path: Path
    config: Config
    summary: RunSummary
    was_finished: bool = False

    def __repr__(self) -> str:
        found = self.summary
        return (
            f"RunResult({shown(self.path)})\n"
            f"  test accuracy {found.best:.4f} at epoch {found.best_epoch} of {found.epochs}, "
            f"chosen on {found.selected_on}\n"
            f"  {found.last10:.4f} in the mean of the last {min(10, found.epochs)} epochs"
        )


def run_config(
    config: Config,
    path: Path,
    *,
    resume: bool = False,
    on_epoch: OnEpoch = lambda report: None,
    on_step: OnStep = lambda epoch, step, steps: None,
) -> RunResult:
    """Trains `config` in the folder `path`, which the caller has claimed.

    It trains in this process, or in Ray Train if the config has several workers or a cluster.

    Args:
        config: the run's settings.
        path: the run's folder.
        resume: continue the run in the folder.
        on_epoch: called after each epoch with its report.
        on_step: called after each step with epoch, step and steps of the epoch; not in Ray Train.

    Raises:
        UserError: settings or data that do not fit, a run with other settings in the folder, or
            one whose checkpoint is missing.
        Diverged: a loss that is not finite.
    """
    folder = RunFolder(path)
    finished = False
    if resume:
        download(path, heavy=True)
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
        for report in epochs(config, folder, data=checked_data(config), on_step=on_step):
            on_epoch(report)


def resume_run(
    path: Path,
    *overrides: str,
    on_epoch: OnEpoch = lambda report: None,
    on_step: OnStep = lambda epoch, step, steps: None,
) -> RunResult:
    """Finishes the run in the folder `path` from its last checkpoint.

    Args:
        path: the run's folder.
        overrides: settings that do not change the results, such as `run.threads=4`.
        on_epoch, on_step: as in `run_config`.

    Raises:
        UserError: no run in the folder, other settings or data, or another process is running it.
        Diverged: a loss that is not finite.
    """
    load_config(path)  # raises UserError if the folder holds no run
    config = resolve(path / "config.yaml", (*moved_data(path), *overrides)).config
    with claimed(path):
        return run_config(config, path, resume=True, on_epoch=on_epoch, on_step=on_step)
