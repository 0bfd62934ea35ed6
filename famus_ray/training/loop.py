"""The training loop: epochs of steps, evaluation, curves and checkpoints. Plain torch, no Ray.

`epochs` is a generator. Its caller (the command line, a Ray Train worker, a Ray Tune trial) gets
a report after each epoch and may stop there: the run can be resumed from its last checkpoint.
"""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import pandas as pd
import torch
from torch import nn

from famus_ray.config.schema import Config
from famus_ray.config.usual import what_may_help
from famus_ray.data.batches import EpochBatches
from famus_ray.data.catalog import Dataset, load_dataset
from famus_ray.distributed import rank, world_size
from famus_ray.errors import Diverged, UserError
from famus_ray.records.checkpoint import load_checkpoint, save_checkpoint
from famus_ray.records.run_folder import RunFolder
from famus_ray.records.tracking import Trackers, check_trackers
from famus_ray.store import download
from famus_ray.training.evaluation import evaluate
from famus_ray.training.fits import check_fits
from famus_ray.training.learner import new_learner
from famus_ray.training.model_check import check_network, check_splits
from famus_ray.training.one_network import OneNetwork, OnStep, Procedure
from famus_ray.training.two_networks import TwoNetworks

__all__ = [
    "EpochReport",
    "OnEpoch",
    "OnStep",
    "TrainState",
    "checked_data",
    "epochs",
    "pick_device",
    "start",
]


@dataclass(frozen=True)
class EpochReport:
    """The results of an epoch.

    Attributes:
        epoch: completed epochs, from 1.
        metrics: by name, such as `validation/top1` in [0, 1] or `time/step` in seconds.
    """

    epoch: int
    metrics: dict[str, float]


OnEpoch = Callable[[EpochReport], None]


@dataclass
class TrainState:
    """The state of a run: everything that changes during training.

    Attributes:
        procedure: networks, optimisers and steps.
        epoch: completed epochs.
        best: highest accuracy so far on the split that selects the best epoch, in [0, 1].
        curves: rows (epoch, name, value) of the metrics.
        samples: rows of `tables.SAMPLES` of the latest divisions; None before the first.
    """

    procedure: Procedure
    epoch: int = 0
    best: float = -math.inf
    curves: list[tuple[int, str, float]] = field(default_factory=list)
    samples: pd.DataFrame | None = None

    def state_dict(self) -> dict[str, Any]:
        return {"epoch": self.epoch, "best": self.best, **self.procedure.state_dict()}

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.best = state["epoch"], state["best"]
        self.procedure.load_state_dict(state)

    def keep_divisions(self, count: int) -> None:
        """Moves the procedure's new divisions into `samples`, which keeps the latest `count`."""
        new, self.procedure.divisions = self.procedure.divisions, []
        if not new:
            return
        frames = new if self.samples is None else [self.samples, *new]
        samples = pd.concat(frames, ignore_index=True)
        kept = samples["epoch"].isin(sorted(samples["epoch"].unique())[-count:])
        self.samples = samples[kept].reset_index(drop=True)


def epochs(
    config: Config,
    folder: RunFolder,
    *,
    data: Dataset | None = None,
    on_step: OnStep = lambda epoch, step, steps: None,
) -> Iterator[EpochReport]:
    """Trains a run and yields one report per epoch; resumes from a checkpoint in `folder`.

    The first process writes the folder. Results depend only on the config and the number of
    processes.

    Args:
        config: the run's settings.
        folder: the run's folder.
        data: the data set of this config, if it is in memory already.
        on_step: called after each step with epoch (from 1), step (from 1) and the number of
            steps of the epoch.

    Raises:
        UserError: data, model or settings that do not fit or have changed, or a checkpoint that
            is missing.
        Diverged: a loss that is not finite; the last checkpoint is kept.
    """
    download(folder.path, heavy=True)
    device = pick_device(config)
    data = (data or checked_data(config)).to(device)
    state = TrainState(start(config, data, device))
    last = config.schedule.epochs
    if folder.last.is_file():
        folder.check_same(config)
        folder.check_data(data)
        state.load_state_dict(load_checkpoint(folder.last, device))
        state.curves = folder.read_curves(up_to_epoch=state.epoch)
        # Two networks make the division after epoch `state.epoch` after this checkpoint.
        divided = state.epoch - (not state.procedure.divides_after(state.epoch))
        state.samples = folder.read_samples(up_to_epoch=divided)
    elif rank() == 0:
        folder.begin(config, data)
    with Trackers(config, folder.path) as trackers:
        while state.epoch < last:
            try:
                metrics = state.procedure.train_epoch(state.epoch, on_step)
                metrics |= _evaluate_all(state.procedure.predictor, data)
                _check_finite(state.epoch + 1, metrics)
            except Diverged as error:
                kept = f"the last good state is in {folder.last}; " if state.epoch else ""
                raise Diverged(f"{error}; {kept}{what_may_help(config)}") from error
            state.epoch += 1
            state.curves += [(state.epoch, name, value) for name, value in metrics.items()]
            if state.epoch < last and state.procedure.divides_after(state.epoch):
                state.procedure.divide(state.epoch)
            state.keep_divisions(config.division.keep)
            if rank() == 0:
                _save(config, state, folder, metrics)
                trackers.log(state.epoch, state.curves)
            yield EpochReport(state.epoch, metrics)
    if state.samples is None or state.samples["epoch"].max() < last:
        state.procedure.divide(last)
        state.keep_divisions(config.division.keep)
        if rank() == 0 and state.samples is not None:
            folder.write_samples(state.samples)


def _check_finite(epoch: int, metrics: dict[str, float]) -> None:
    for name, value in metrics.items():
        if name.endswith("/loss") and not math.isfinite(value):
            raise Diverged(f"epoch {epoch}: {name} is {value}")


def checked_data(config: Config, data: Dataset | None = None) -> Dataset:
    """The data set of a run, after checking that the run can start.

    Args:
        config: the run's settings.
        data: the data set of this config, if it is in memory already.

    Raises:
        UserError: settings, data or a model that do not fit together or into memory.
    """
    check_trackers(config)
    data = data or load_dataset(config.data, config.noise, config.run.seed)
    check_splits(config, data)
    batches = EpochBatches(data, config)
    check_fits(config, data)
    learner = new_learner(config, data, torch.device("cpu"))
    ((inputs, _), _) = next(batches.epoch(0, with_meta=False))
    meta_rows = batches.meta_size // world_size() if learner.step.needs_meta_batch else 0
    check_network(learner.model, config, inputs, data.classes, meta_rows)
    return data


def pick_device(config: Config) -> torch.device:
    """The device of this process: its GPU, if there is one and the config allows it.

    Raises:
        UserError: the config asks for a GPU and there is none.
    """
    if config.run.device == "cuda" and not torch.cuda.is_available():
        raise UserError("run.device = cuda: no GPU here; leave it at auto")
    if config.run.device != "cpu" and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    if config.run.cuda_graph:
        raise UserError("run.cuda_graph = true: no GPU is used here; leave it out")
    return torch.device("cpu")


def start(config: Config, data: Dataset, device: torch.device) -> Procedure:
    """A procedure before its first step, initialised from the seed."""
    build = TwoNetworks if config.has_two_networks else OneNetwork
    return build(config, data, device)


def _evaluate_all(model: nn.Module, data: Dataset) -> dict[str, float]:
    splits = {"validation": data.validation, "test": data.test, **data.more_tests}
    return {
        f"{name}/{quantity}": value
        for name, split in splits.items()
        if len(split)
        for quantity, value in evaluate(model, data, split).items()
    }


def _save(config: Config, state: TrainState, folder: RunFolder, metrics: dict[str, float]) -> None:
    """Writes the files of an epoch, `last.pt` last: an interrupted epoch is then repeated."""
    chosen = metrics[f"{config.run.select}/top1"]
    improved = chosen >= state.best  # ties: the latest epoch, whose learning rate was lower
    state.best = max(chosen, state.best)
    last_epoch = state.epoch == config.schedule.epochs
    if improved:
        first, *peers = (learner.model.state_dict() for learner in state.procedure.learners)
        peer = {"peer": peers[0]} if peers else {}
        save_checkpoint(folder.best, {"epoch": state.epoch, "model": first, **peer})
    folder.write_curves(state.curves)
    study = config.study
    others_go_on = study.scheduler == "pbt" and state.epoch % study.exploit_every == 0
    if last_epoch or others_go_on or state.epoch % config.run.checkpoint_every == 0:
        if state.samples is not None:
            folder.write_samples(state.samples)
        if others_go_on and not last_epoch:
            folder.keep(state.epoch, state.state_dict())
        save_checkpoint(folder.last, state.state_dict())
