"""A learner: one network with its optimiser and its method's step, and a pass of training."""

from __future__ import annotations

import time
from collections.abc import Callable, Iterable
from contextlib import closing, nullcontext
from dataclasses import dataclass
from typing import Any

import torch
from torch import nn

from famus_ray.batch import Batch
from famus_ray.config.schema import Config
from famus_ray.data.catalog import Dataset
from famus_ray.distributed import (
    all_reduce_mean_,
    all_reduce_sum_,
    bytes_exchanged,
    rank,
    world_size,
)
from famus_ray.meta.step import TrainStep
from famus_ray.methods import build_step
from famus_ray.methods.losses import begin_epoch
from famus_ray.models.catalog import build_model
from famus_ray.models.precision import in_bfloat16
from famus_ray.randomness import epoch_seed
from famus_ray.training.cuda_graph import GraphedStep
from famus_ray.training.diagnostics import diagnose_gradient, diagnose_weights
from famus_ray.training.optimiser import build_optimiser
from famus_ray.training.schedule import learning_rate

__all__ = ["Learner", "new_learner"]

_DIAGNOSED = 4  # batches


@dataclass
class Learner:
    """A network with its optimiser, its step and its random numbers.

    Attributes:
        model: the network.
        optimiser: of the network's parameters.
        step: the method's step.
        gate_noise: the step's generator, reseeded every epoch.
        network: index from 0; 1 for the second of two networks, which has its own random numbers.
    """

    model: nn.Module
    optimiser: torch.optim.Optimizer
    step: TrainStep
    gate_noise: torch.Generator
    network: int = 0

    def train(
        self,
        config: Config,
        data: Dataset,
        epoch: int,
        pairs: Iterable[tuple[Batch, Batch | None]],
        on_step: Callable[[int], None],
        step: TrainStep | None = None,
    ) -> dict[str, float]:
        """Trains on pairs of a train and a meta batch; returns the means of the steps' metrics.

        Args:
            config: the run's settings.
            data: the data set that the pairs come from.
            epoch: completed epochs.
            pairs: train batch, and meta batch or None.
            on_step: called after each step with its number, from 1.
            step: replaces the method's own step.
        """
        step = step or self.step
        seed = config.run.seed
        torch.manual_seed(epoch_seed(seed, self.purpose(f"network/{rank()}"), epoch))
        self.gate_noise.manual_seed(epoch_seed(seed, self.purpose("gates"), epoch))
        rate = learning_rate(config.optimiser.lr, config.schedule, epoch)
        for group in self.optimiser.param_groups:
            group["lr"] = rate
        self.model.train()
        begin_epoch(step.head, epoch, data.train.labels, data.classes)
        sums: dict[str, torch.Tensor] = {}
        counts: dict[str, int] = {}
        began, sent = time.perf_counter(), bytes_exchanged()
        taken = 0
        every = config.run.diagnose_every
        wanted = _DIAGNOSED if every and (epoch + 1) % every == 0 else 0
        kept: list[tuple[Batch, Batch | None]] = []
        with (
            closing(GraphedStep(step, self.gate_noise))
            if config.run.cuda_graph
            else nullcontext(step)
        ) as take:
            for taken, (train, meta) in enumerate(pairs, start=1):
                for name, value in take(self.model, self.optimiser, train, meta).items():
                    sums[name] = sums.get(name, 0) + value
                    counts[name] = counts.get(name, 0) + 1
                kept += [(train, meta)] if taken <= wanted else []
                on_step(taken)
        _average_statistics(self.model)
        shares = {name: total for name, total in sums.items() if name.endswith("/loss")}
        all_reduce_sum_(list(shares.values()))
        metrics = {name: float(total) / counts[name] for name, total in sums.items()}
        seconds = (time.perf_counter() - began) / taken
        metrics |= {"train/lr": rate, "time/step": seconds}
        if world_size() > 1:
            metrics["communication/bytes"] = (bytes_exchanged() - sent) / taken
        if kept:
            metrics |= diagnose_gradient(self.model, self.optimiser, step, kept)
            metrics |= diagnose_weights(self.model, step, data)
        return metrics

    def purpose(self, name: str) -> str:
        """The name under which random numbers are seeded: with `/1` for the second network."""
        return name if self.network == 0 else f"{name}/{self.network}"

    def state_dict(self) -> dict[str, Any]:
        return {
            "model": self.model.state_dict(),
            "optimiser": self.optimiser.state_dict(),
            "step": self.step.state_dict(),
        }

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.model.load_state_dict(state["model"])
        self.optimiser.load_state_dict(state["optimiser"])
        self.step.load_state_dict(state["step"])


def new_learner(config: Config, data: Dataset, device: torch.device, network: int = 0) -> Learner:
    """A learner before its first step, initialised from the seed."""
    weights = "weights" if network == 0 else f"weights/{network}"
    torch.manual_seed(epoch_seed(config.run.seed, weights, 0))
    model = build_model(config.model, data.classes, data.channels).to(device)
    on_gpu = device.type == "cuda"
    if on_gpu if config.run.channels_last is None else config.run.channels_last:
        model = model.to(memory_format=torch.channels_last)
    if config.run.precision == "bfloat16":
        model = in_bfloat16(model)
    gate_noise = torch.Generator(device)
    return Learner(
        model=model,
        optimiser=build_optimiser(model, config.optimiser),
        step=build_step(config, model, data.classes, gate_noise),
        gate_noise=gate_noise,
        network=network,
    )


def _average_statistics(model: nn.Module) -> None:
    """Averages running statistics over the processes: each has seen only its own rows."""
    all_reduce_mean_([b for b in model.buffers() if b.is_floating_point()])
