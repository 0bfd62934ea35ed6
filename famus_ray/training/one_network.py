"""Training procedures: an epoch with one network, and the interface for one or two.

The loop (`loop.epochs`) calls a procedure for an epoch, for its predictor and for its state. The
loop itself handles checkpoints, curves, resuming and reports, for every procedure.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from typing import Any, Protocol

import pandas as pd
import torch
from torch import nn

from famus_ray.batch import Batch
from famus_ray.config.schema import Config
from famus_ray.data.balanced import epoch_data
from famus_ray.data.batches import EpochBatches
from famus_ray.data.catalog import Dataset
from famus_ray.training.evaluation import judge, samples_frame
from famus_ray.training.learner import Learner, new_learner

__all__ = ["OnStep", "OneNetwork", "Procedure", "judged_epochs"]

OnStep = Callable[[int, int, int], None]


class Procedure(Protocol):
    """A training procedure as the loop sees it.

    Attributes:
        learners: one or two, in the order of their networks.
        predictor: the module that is evaluated, from inputs to logits.
        divisions: rows of `tables.SAMPLES` for each division since the loop last took them.
    """

    learners: list[Learner]
    predictor: nn.Module
    divisions: list[pd.DataFrame]

    def train_epoch(self, epoch: int, on_step: OnStep) -> dict[str, float]:
        """Trains one epoch, after `epoch` completed ones; returns its metrics by name."""
        ...

    def rehearsal(self) -> tuple[Iterator[tuple[Batch, Batch | None]], int]:
        """Batches like those of the first network, and the number of steps of an epoch."""
        ...

    def divide(self, epoch: int) -> None:
        """Judges every training example with the current networks and adds to `divisions`."""
        ...

    def divides_after(self, epoch: int) -> bool:
        """Whether the loop makes a division after `epoch` completed ones, before its checkpoint."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: dict[str, Any]) -> None: ...


class OneNetwork:
    """The procedure for one network: an epoch is a pass over the training set."""

    def __init__(self, config: Config, data: Dataset, device: torch.device) -> None:
        self.config, self.data = config, data
        self.learner = new_learner(config, data, device)
        self.learners = [self.learner]
        self.predictor = self.learner.model
        self.divisions: list[pd.DataFrame] = []

    def train_epoch(self, epoch: int, on_step: OnStep) -> dict[str, float]:
        """Trains one pass over the training set; returns the metrics by name."""
        data = epoch_data(self.data, self.config, epoch)
        batches = EpochBatches(data, self.config)
        pairs = batches.epoch(epoch, with_meta=self.learner.step.needs_meta_batch)
        return self.learner.train(
            self.config, data, epoch, pairs, lambda i: on_step(epoch + 1, i, batches.steps)
        )

    def rehearsal(self) -> tuple[Iterator[tuple[Batch, Batch | None]], int]:
        """The first epoch's batches, and their number."""
        with_meta = self.learner.step.needs_meta_batch
        batches = EpochBatches(epoch_data(self.data, self.config, 0), self.config)
        return batches.epoch(0, with_meta=with_meta), batches.steps

    def divide(self, epoch: int) -> None:
        """Adds the network's division to `divisions`; training does not use it."""
        found = judge(self.learner.model, self.data, self.learner.step.head)
        p_clean_N = found.p_clean(self.config.division, self.config.run.seed)
        self.divisions.append(samples_frame(self.data, found, p_clean_N, epoch, network=0))

    def divides_after(self, epoch: int) -> bool:
        """Whether `epoch` is one of `judged_epochs`."""
        return epoch in judged_epochs(self.config.schedule.epochs, self.config.division.keep)

    def state_dict(self) -> dict[str, Any]:
        return self.learner.state_dict()

    def load_state_dict(self, state: dict[str, Any]) -> None:
        self.learner.load_state_dict(state)


def judged_epochs(epochs: int, count: int) -> set[int]:
    """At most `count` epochs, spread evenly over the last quarter of the training, the last too.

    By then the network knows the classes, and the mean over several epochs is steadier than one.
    """
    return {epochs - i * epochs // (4 * count) for i in range(count)}
