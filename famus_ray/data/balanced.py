"""Class-balanced epochs: the same number of examples of each class, drawn anew every epoch."""

# Shapes: N examples.
from __future__ import annotations

from dataclasses import replace

import torch
from torch import Tensor

from famus_ray.config.schema import Config
from famus_ray.data.batches import rounds
from famus_ray.data.catalog import Dataset
from famus_ray.randomness import epoch_generator

__all__ = ["balanced_places", "epoch_data"]


def epoch_data(data: Dataset, config: Config, epoch: int) -> Dataset:
    """The data of one epoch (from 0), the same for every process and network.

    These are all training examples, or with `schedule.balanced_batches` that number of batches
    of a class-balanced draw.
    """
    if config.schedule.balanced_batches is None:
        return data
    wanted = config.schedule.balanced_batches * config.run.batch_size
    generator = epoch_generator(config.run.seed, "balanced", epoch)
    places = balanced_places(data.train.labels.cpu(), wanted, generator)
    return replace(data, train=data.train[places])


def balanced_places(labels: Tensor, wanted: int, generator: torch.Generator) -> Tensor:
    """Indices (wanted,) of a class-balanced draw in random order.

    The classes' numbers of examples differ by at most one. Examples are repeated only in a class
    that has too few.

    Args:
        labels: classes (N,).
        wanted: number of indices.
        generator: on the CPU.
    """
    found = [(labels == label).nonzero()[:, 0] for label in labels.unique()]
    each = -(-wanted // len(found))
    drawn = torch.stack([members[rounds(len(members), each, generator)] for members in found])
    classes_in_turn = drawn.T.flatten()[:wanted]
    return classes_in_turn[torch.randperm(wanted, generator=generator)]
