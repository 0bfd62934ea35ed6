"""A run in Ray Train: every worker runs the loop, and the first one writes the run folder."""

from __future__ import annotations

import threading
import traceback
from collections.abc import Iterator
from pathlib import Path
from typing import Any

from famus_ray.config.schema import Config
from famus_ray.errors import Diverged
from famus_ray.records.run_folder import RunFolder
from famus_ray.records.tables import CURVES, read_table
from famus_ray.scale.capacity import check_fits, check_fits_here
from famus_ray.scale.cluster import cluster, ctrl_c, on_devices, ray_log
from famus_ray.scale.join import check_address
from famus_ray.scale.parcel import parcel, settings_of
from famus_ray.scale.shares import check_shares
from famus_ray.training.allocator import keep_freed_memory
from famus_ray.training.loop import EpochReport, OnEpoch, checked_data, epochs

__all__ = ["train_on_workers"]


def train_on_workers(
    config: Config, path: Path, on_epoch: OnEpoch = lambda report: None, retries: int = 2
) -> None:
    """Trains in `config.scale.workers` processes, connected by gloo on CPUs and NCCL on GPUs.

    The run folder must have the same path on every node. After the loss of a worker the run
    continues from its last checkpoint, up to `retries` times.

    Args:
        config: the run's settings.
        path: the run's folder, claimed by the caller.
        on_epoch: called after each epoch with its report.
        retries: number of restarts after lost workers.

    Raises:
        UserError: more workers than the cluster can hold, no cluster at the address, or data and
            settings that do not fit.
        Diverged: a loss that is not finite.
        Exception: the exception of the training in a worker, with its traceback as a note.
    """
    scale = config.scale
    check_address(scale)
    check_fits_here(scale)
    data = checked_data(config)
    check_shares(config, data)
    folder = RunFolder(path)
    if folder.last.is_file():
        folder.check_data(data)
    with cluster(scale):
        check_fits(scale)
        with _following(path, on_epoch), ray_log(path / "ray.log"), ctrl_c():
            _fit(config, path, retries)


def _fit(config: Config, path: Path, retries: int) -> None:
    from ray.train import ControllerError, FailureConfig, RunConfig, ScalingConfig
    from ray.train.torch import TorchTrainer

    from famus_ray.scale.ray_train import EndsAtMistakes, Meeting

    scale = config.scale
    per_worker = {"CPU": scale.cpus_per_worker}
    if scale.gpus_per_worker:
        per_worker["GPU"] = scale.gpus_per_worker
    trainer = TorchTrainer(
        _worker,
        train_loop_config={
            "config": config.model_dump(),
            "path": str(path.absolute()),
            "parcel": parcel(settings_of(config)),
        },
        torch_config=Meeting(),
        scaling_config=ScalingConfig(
            num_workers=scale.workers,
            use_gpu=scale.gpus_per_worker > 0,
            resources_per_worker=per_worker,
        ),
        run_config=RunConfig(
            name=f"attempt-{len(list((path / 'ray').glob('attempt-*'))) + 1}",
            storage_path=str((path / "ray").absolute()),
            failure_config=FailureConfig(max_failures=retries, controller_failure_limit=2),
            callbacks=[EndsAtMistakes()],
        ),
    )
    try:
        diverged = trainer.fit().return_value
    except ControllerError as error:
        raise error.controller_failure from None
    if diverged is not None:
        raise Diverged(diverged)


def _worker(settings: dict[str, Any]) -> str | None:
    """Trains in one Ray Train worker; returns the message of a divergence, else None.

    All workers see the same divergence, and a retry would not help.
    """
    import ray.train
    import torch

    settings["parcel"].unpack()
    config = on_devices(Config.model_validate(settings["config"]))
    keep_freed_memory()
    torch.set_num_threads(config.run.threads or max(1, int(config.scale.cpus_per_worker)))
    try:
        for report in epochs(config, RunFolder(Path(settings["path"]))):
            ray.train.report({"epoch": report.epoch})
    except Diverged as error:
        return str(error)
    except Exception as error:
        error.add_note(traceback.format_exc())  # the traceback itself does not leave the process
        raise
    return None


class _following:  # noqa: N801 - reads as a context: `with _following(...)`
    """Calls `on_epoch` for each new epoch in the run's curves, once a second.

    It reads the curves because Ray drops metrics reported without a checkpoint.
    """

    def __init__(self, path: Path, on_epoch: OnEpoch) -> None:
        self._curves = path / "curves.parquet"
        self._on_epoch = on_epoch
        self._stop = threading.Event()
        self._seen = max((report.epoch for report in self._reports()), default=0)
        self._thread = threading.Thread(target=self._watch, daemon=True)

    def __enter__(self) -> None:
        self._thread.start()

    def __exit__(self, *exc: object) -> None:
        self._stop.set()
        self._thread.join()

    def _watch(self) -> None:
        while not self._stop.wait(1.0):
            self._tell()
        self._tell()

    def _tell(self) -> None:
        for report in self._reports():
            if report.epoch > self._seen:
                self._seen = report.epoch
                self._on_epoch(report)

    def _reports(self) -> Iterator[EpochReport]:
        if not self._curves.is_file():
            return
        frame = read_table(self._curves, CURVES)
        for epoch, rows in frame.groupby("epoch", sort=True):
            metrics = dict(zip(rows["metric"], rows["value"], strict=True))
            yield EpochReport(int(str(epoch)), metrics)
