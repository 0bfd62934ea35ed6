"""The training loop: epochs of steps, evaluation, curves and checkpoints. Plain torch, no Ray.

`epochs` is a generator. Whoever drives it (the command line, a Ray Train worker, a Ray Tune
trial) gets a report after each epoch and may stop there: the run can be resumed from it.
"""

from __future__ import annotations

import math
import time
from collections.abc import Callable, Iterator
from dataclasses import dataclass, field
from typing import Any

import torch
from torch import nn

from famus_ray.checkpoint import load_checkpoint, save_checkpoint
from famus_ray.config.schema import Config
from famus_ray.data.batches import EpochBatches
from famus_ray.data.catalog import Dataset, load_dataset
from famus_ray.errors import Diverged, UserError, first_line
from famus_ray.evaluation import evaluate, judge_samples
from famus_ray.losses import begin_epoch
from famus_ray.meta.collective import (
    all_reduce_mean_,
    all_reduce_sum_,
    bytes_exchanged,
    rank,
    world_size,
)
from famus_ray.meta.step import TrainStep
from famus_ray.methods import build_step
from famus_ray.models.catalog import build_model
from famus_ray.models.precision import in_bfloat16
from famus_ray.optimiser import build_optimiser
from famus_ray.randomness import epoch_seed
from famus_ray.run_folder import RunFolder
from famus_ray.schedule import learning_rate
from famus_ray.tables import SAMPLES, write_table

__all__ = ["EpochReport", "OnStep", "TrainState", "check", "epochs", "pick_device", "start"]

OnStep = Callable[[int, int, int], None]


@dataclass(frozen=True)
class EpochReport:
    """What an epoch came to.

    Attributes:
        epoch: completed epochs, from 1.
        metrics: by name, such as `validation/top1` in [0, 1] or `time/step` in seconds.
    """

    epoch: int
    metrics: dict[str, float]


@dataclass
class TrainState:
    """All that changes while a run goes on."""

    model: nn.Module
    optimiser: torch.optim.Optimizer
    step: TrainStep
    gate_noise: torch.Generator
    epoch: int = 0
    best: float = -math.inf
    curves: list[tuple[int, str, float]] = field(default_factory=list)

    def state_dict(self) -> dict[str, Any]:
        return {
            "epoch": self.epoch,
            "best": self.best,
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.epoch, self.best = state["epoch"], state["best"]
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step.load_state_dict(state["step"])


def epochs(
    config: Config,
    folder: RunFolder,
    *,
    data: Dataset | None = None,
    on_step: OnStep = lambda epoch, step, steps: None,
) -> Iterator[EpochReport]:
    """Train, one report an epoch, from the last checkpoint in `folder` where there is one.

    The first process writes the folder. The numbers depend on the config and the number
    of processes alone.

    Args:
        data: the data set of this config, where it is in memory already.
        on_step: called after each step with epoch, step and steps of the epoch, from 1.

    Raises:
        UserError: data, model or settings that do not fit.
        Diverged: a loss that is not finite; the last checkpoint is kept.
    """
    device = pick_device(config)
    data = (data or check(config)).to(device)
    batches = EpochBatches(data, config)
    state = start(config, data, device)
    if folder.last.is_file():
        folder.check_same(config)
        state.load_state_dict(load_checkpoint(folder.last, device))
        state.curves = folder.read_curves(up_to_epoch=state.epoch)
    elif rank() == 0:
        folder.begin(config, data)
    while state.epoch < config.schedule.epochs:
        metrics = _train_epoch(config, state, batches, on_step)
        metrics |= _evaluate_all(state.model, data)
        state.epoch += 1
        state.curves += [(state.epoch, name, value) for name, value in metrics.items()]
        for name, value in metrics.items():
            if name.endswith("/loss") and not math.isfinite(value):
                raise Diverged(
                    f"epoch {state.epoch}: {name} is {value}; the last good state is in "
                    f"{folder.last}; a lower optimiser.lr or meta.lr may help"
                )
        if rank() == 0:
            _save(config, state, folder, metrics)
        yield EpochReport(state.epoch, metrics)
    if rank() == 0 and not folder.samples.is_file():
        rows = judge_samples(
            state.model, data, state.step.head, config.division, state.epoch, config.run.seed
        )
        write_table(folder.samples, SAMPLES, rows)


def check(config: Config) -> Dataset:
    """The data set of a run that can start; raises the UserError of one that cannot."""
    data = load_dataset(config.data, config.noise, config.run.seed)
    if config.run.select == "validation" and not len(data.validation):
        raise UserError(
            f"data.validation_fraction = {config.data.validation_fraction}: leaves nothing to "
            "select the best epoch on; raise it, or set run.select=test as papers do"
        )
    batches = EpochBatches(data, config)
    model = start(config, data, torch.device("cpu")).model.train()
    ((inputs, _), _) = next(batches.epoch(0, with_meta=False))
    shape = "x".join(map(str, inputs.shape[1:]))
    try:
        with torch.no_grad():
            logits = model(inputs[:2])
    except Exception as error:  # whatever a network raises on images it is not made for
        raise UserError(
            f"model.name = {config.model.name}: cannot take {shape} images ({first_line(error)})"
        ) from error
    if not isinstance(logits, torch.Tensor) or logits.shape != (2, data.classes):
        raise UserError(f"model.name = {config.model.name}: does not give logits (B, classes)")
    return data


def pick_device(config: Config) -> torch.device:
    """The device of this process: its GPU where there is one and the config allows it.

    Raises:
        UserError: a GPU was asked for and there is none.
    """
    if config.run.device == "cuda" and not torch.cuda.is_available():
        raise UserError("run.device = cuda: no GPU here; leave it at auto")
    if config.run.device != "cpu" and torch.cuda.is_available():
        return torch.device("cuda", torch.cuda.current_device())
    return torch.device("cpu")


def start(config: Config, data: Dataset, device: torch.device) -> TrainState:
    """A run before its first step: everything freshly initialised from the seed."""
    torch.manual_seed(epoch_seed(config.run.seed, "weights", 0))
    model = build_model(config.model, data.classes, data.channels).to(device)
    on_gpu = device.type == "cuda"
    if on_gpu if config.run.channels_last is None else config.run.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if config.run.precision == "bfloat16":
        model = in_bfloat16(model)
    gate_noise = torch.Generator(device)
    return TrainState(
        model=model,
        optimiser=build_optimiser(model, config.optimiser),
        step=build_step(config, model, gate_noise),
        gate_noise=gate_noise,
    )


def _train_epoch(
    config: Config, state: TrainState, batches: EpochBatches, on_step: OnStep
) -> dict[str, float]:
    """One pass over the training set; the means of what its steps measured."""
    epoch, seed = state.epoch, config.run.seed
    torch.manual_seed(epoch_seed(seed, f"network/{rank()}", epoch))
    state.gate_noise.manual_seed(epoch_seed(seed, "gates", epoch))
    rate = learning_rate(config.optimiser.lr, config.schedule, epoch)
    for group in state.optimiser.param_groups:
        group["lr"] = rate
    state.model.train()
    begin_epoch(state.step.head, epoch, batches.data.train.labels, batches.data.classes)
    sums: dict[str, torch.Tensor] = {}
    counts: dict[str, int] = {}
    began, sent = time.perf_counter(), bytes_exchanged()
    pairs = batches.epoch(epoch, with_meta=state.step.needs_meta_batch)
    for i, (train, meta) in enumerate(pairs, start=1):
        for name, value in state.step(state.model, state.optimiser, train, meta).items():
            sums[name] = sums.get(name, 0) + value
            counts[name] = counts.get(name, 0) + 1
        on_step(epoch + 1, i, batches.steps)
    _average_statistics(state.model)
    shares = {name: total for name, total in sums.items() if name.endswith("/loss")}
    all_reduce_sum_(list(shares.values()))
    metrics = {name: float(total) / counts[name] for name, total in sums.items()}
    seconds = (time.perf_counter() - began) / batches.steps
    metrics |= {"train/lr": rate, "time/step": seconds}
    if world_size() > 1:
        metrics["communication/bytes"] = (bytes_exchanged() - sent) / batches.steps
    return metrics


def _average_statistics(model: nn.Module) -> None:
    """Give every process the mean of the running statistics: each saw its own rows only."""
    all_reduce_mean_([b for b in model.buffers() if b.is_floating_point()])


def _evaluate_all(model: nn.Module, data: Dataset) -> dict[str, float]:
    splits = {"validation": data.validation, "test": data.test, **data.more_tests}
    return {
        f"{name}/{quantity}": value
        for name, split in splits.items()
        if len(split)
        for quantity, value in evaluate(model, data, split).items()
    }


def _save(config: Config, state: TrainState, folder: RunFolder, metrics: dict[str, float]) -> None:
    """Curves first: a checkpoint never knows of an epoch that the curves do not."""
    chosen = metrics[f"{config.run.select}/top1"]
    improved = chosen >= state.best  # of equals the latest: its learning rate was lower
    state.best = max(chosen, state.best)
    last_epoch = state.epoch == config.schedule.epochs
    if improved:
        save_checkpoint(folder.best, {"epoch": state.epoch, "model": state.model.state_dict()})
    folder.write_curves(state.curves)
    if last_epoch or state.epoch % config.run.checkpoint_every == 0:
        save_checkpoint(folder.last, state.state_dict())
