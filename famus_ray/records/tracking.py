"""Tracking of a run with TensorBoard, MLflow or Weights & Biases, by the setting `run.track`.

Trackers get copies: the curves in the run's folder are authoritative, and a tracker that fails
does not stop the run. The trackers' own environment variables decide where their records go
(MLFLOW_TRACKING_URI, MLFLOW_EXPERIMENT_NAME, WANDB_PROJECT, WANDB_MODE, ...).
"""

from __future__ import annotations

import fcntl
import json
import logging
import os
import re
import time
import warnings
from collections.abc import Callable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from importlib.util import find_spec
from pathlib import Path
from typing import Any, Protocol, Self

from famus_ray.config.schema import Config
from famus_ray.errors import UserError, first_line
from famus_ray.files import write_json

__all__ = ["Trackers", "check_trackers"]

Point = tuple[int, str, float]  # epoch, metric, value: a row of the curves

_PROJECT = "famus-ray"


class Tracker(Protocol):
    """One tracker's record of a run; `run_id` identifies it when the run is resumed."""

    run_id: str

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        """Adds the metrics of an epoch."""

    def close(self, finished: bool) -> None:
        """Closes the record of a run that is finished, or was stopped before its end."""


class Trackers:
    """All trackers of a run, opened at the first logged epoch.

    A tracker that was added later first gets the earlier epochs. As a context manager it closes
    the records at the end: as finished, or as stopped after an exception.

    Args:
        config: the run's settings.
        folder: of the run; `tracking.json` there holds the trackers' ids.
    """

    def __init__(self, config: Config, folder: Path) -> None:
        self._config, self._folder = config, folder.absolute()
        self._open: dict[str, Tracker] | None = None

    def log(self, epoch: int, points: Sequence[Point]) -> None:
        """Adds an epoch.

        Args:
            epoch: completed epochs.
            points: rows of the curves up to and including this epoch.
        """
        if not self._config.run.track:
            return
        if self._open is None:
            self._begin([point for point in points if point[0] < epoch])
        self._log([point for point in points if point[0] == epoch], list(self._open or {}))

    def __enter__(self) -> Self:
        return self

    def __exit__(self, error: type[BaseException] | None, *details: object) -> None:
        for kind in list(self._open or {}):
            self._try(kind, lambda tracker: tracker.close(finished=error is None))

    def _begin(self, earlier: Sequence[Point]) -> None:
        file = self._folder / "tracking.json"
        known = json.loads(file.read_text(encoding="utf-8")) if file.is_file() else {}
        self._open = {}
        for kind in self._config.run.track:
            try:
                self._open[kind] = _KINDS[kind](self._config, self._folder, known.get(kind))
            except Exception as error:  # noqa: BLE001 - whatever a tracker's library raises
                _given_up(kind, error)
        write_json(file, {**known, **{k: tracker.run_id for k, tracker in self._open.items()}})
        self._log(earlier, [kind for kind in self._open if kind not in known])

    def _log(self, points: Sequence[Point], kinds: Sequence[str]) -> None:
        epochs: dict[int, dict[str, float]] = {}
        for epoch, metric, value in points:
            epochs.setdefault(epoch, {})[metric] = value
        for epoch, metrics in epochs.items():
            for kind in kinds:
                self._try(kind, lambda tracker, e=epoch, m=metrics: tracker.log(e, m))  # type: ignore[misc]

    def _try(self, kind: str, action: Callable[[Tracker], None]) -> None:
        assert self._open is not None
        if kind not in self._open:  # it has failed before
            return
        try:
            action(self._open[kind])
        except Exception as error:  # noqa: BLE001 - whatever a tracker's library raises
            del self._open[kind]
            _given_up(kind, error)


def check_trackers(config: Config) -> None:
    """Raises UserError for a tracker whose library is not installed."""
    for kind in config.run.track:
        if find_spec("tensorboardX" if kind == "tensorboard" else kind) is None:
            raise UserError(
                f"run.track = {kind}: needs another package; pip install 'famus-ray[{kind}]'"
            )


class _TensorBoard:
    def __init__(self, config: Config, folder: Path, run_id: str | None) -> None:
        from tensorboardX import SummaryWriter

        self.run_id = str(folder / "tensorboard")
        self._writer = SummaryWriter(self.run_id)
        if run_id is None:
            settings = json.dumps(config.model_dump(mode="json"), indent=2)
            self._writer.add_text("settings", f"```\n{settings}\n```")

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        for metric, value in metrics.items():
            self._writer.add_scalar(metric, value, epoch)
        self._writer.flush()

    def close(self, finished: bool) -> None:
        self._writer.close()


class _MLflow:
    """A run of an experiment; without MLFLOW_TRACKING_URI in `mlflow.db` beside the runs."""

    def __init__(self, config: Config, folder: Path, run_id: str | None) -> None:
        from mlflow.entities import Param, RunTag
        from mlflow.tracking import MlflowClient

        for library in ("mlflow", "alembic"):
            logging.getLogger(library).setLevel(logging.WARNING)  # they log every table
        study = _study(folder)
        here = f"sqlite:///{study.parent / 'mlflow.db'}"
        with _alone(study.parent / ".mlflow.lock"):  # else parallel trials create its tables twice
            self._client = MlflowClient(os.environ.get("MLFLOW_TRACKING_URI", here))
            experiment = self._experiment(os.environ.get("MLFLOW_EXPERIMENT_NAME", _PROJECT))
        if run_id is None:
            name = str(folder.relative_to(study.parent))
            run_id = self._client.create_run(experiment, run_name=name).info.run_id
            params = [Param(key, str(value)) for key, value in _flat(config)]
            tags = [RunTag("study", study.name)]
            self._client.log_batch(run_id, params=params, tags=tags)
        self.run_id = run_id

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        from mlflow.entities import Metric

        now = int(time.time() * 1000)
        found = [
            Metric(re.sub(r"[^\w./: -]", "_", metric), value, now, epoch)
            for metric, value in metrics.items()
        ]
        self._client.log_batch(self.run_id, metrics=found)

    def close(self, finished: bool) -> None:
        self._client.set_terminated(self.run_id, "FINISHED" if finished else "KILLED")

    def _experiment(self, project: str) -> str:
        found = self._client.get_experiment_by_name(project)
        return str(found.experiment_id if found else self._client.create_experiment(project))


class _WandB:
    def __init__(self, config: Config, folder: Path, run_id: str | None) -> None:
        import wandb

        study = _study(folder)
        self._run = wandb.init(
            project=os.environ.get("WANDB_PROJECT", _PROJECT), dir=str(folder), group=study.name,
            name=str(folder.relative_to(study.parent)), id=run_id, resume="allow",
            reinit="create_new",  # several runs may be open in one process
            config=config.model_dump(mode="json"),
            settings=wandb.Settings(silent=True, console="off"),
        )  # fmt: skip
        self.run_id = self._run.id

    def log(self, epoch: int, metrics: Mapping[str, float]) -> None:
        self._run.log(dict(metrics), step=epoch)

    def close(self, finished: bool) -> None:
        self._run.finish(exit_code=0 if finished else 1)


_KINDS: Mapping[str, Callable[[Config, Path, str | None], Tracker]] = {
    "tensorboard": _TensorBoard,
    "mlflow": _MLflow,
    "wandb": _WandB,
}


@contextmanager
def _alone(file: Path) -> Iterator[None]:
    """Inside, this is the only process that holds the lock `file`."""
    with file.open("a") as lock:
        fcntl.flock(lock, fcntl.LOCK_EX)
        yield


def _study(folder: Path) -> Path:
    """The folder of the run's study, or the run's own folder if it belongs to none."""
    return next((path for path in folder.parents if (path / "space.yaml").is_file()), folder)


def _flat(config: Config) -> list[tuple[str, Any]]:
    sections = config.model_dump(mode="json").items()
    return [(f"{section}.{key}", value) for section, own in sections for key, value in own.items()]


def _given_up(kind: str, error: Exception) -> None:
    warnings.warn(f"run.track: {kind} is given up for this run ({first_line(error)})", stacklevel=2)
