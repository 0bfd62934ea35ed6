"""Each worker's share of a batch: enough examples for the network and the method."""

from __future__ import annotations

from collections.abc import Iterator

import torch

from famus_ray.config.schema import Config
from famus_ray.data.batches import EpochBatches
from famus_ray.data.catalog import Dataset
from famus_ray.errors import UserError, first_line
from famus_ray.training.learner import Learner, new_learner

__all__ = ["check_shares"]


def check_shares(config: Config, data: Dataset) -> None:
    """Raises UserError if a batch is too small for the workers that share it.

    All batches have full size: the last, smaller batch of an epoch is dropped.
    """
    workers = config.scale.workers
    if workers == 1:
        return
    batches = EpochBatches(data, config)
    learner = new_learner(config, data, torch.device("cpu"))
    for key, size, rows in _rows(config, batches, learner):
        among = f"{size} examples among scale.workers = {workers}"
        if rows == 0:
            raise UserError(f"{key}: {among} leave some of them with none; take fewer workers")
        if rows == 1 and (reason := _why_not_one(learner, batches)):
            raise UserError(
                f"{key}: {among} are one for each, and {config.model.name} cannot train on one at "
                f"a time ({reason}); take a larger batch, fewer workers, or model.norm=group where "
                "the network has it"
            )


def _rows(
    config: Config, batches: EpochBatches, learner: Learner
) -> Iterator[tuple[str, int, int]]:
    """Of each kind of batch: the setting, its size, and the examples of one worker."""
    at_once = config.has_two_networks and config.pipeline.networks == "at_once"
    workers = config.scale.workers // (2 if at_once else 1)  # a network has half of them
    size = config.run.batch_size
    rows = size // workers
    yield "run.batch_size", size, rows // 2 if config.meta.source == "batch" else rows
    if learner.step.needs_meta_batch:
        size = config.meta.batch_size or size
        if config.has_two_networks:  # the division's meta set has at least one batch
            yield "meta.batch_size", size, max(size // workers, 1)
        else:
            size = min(size, len(batches.judges))
            yield "meta.batch_size", size, size // workers


def _why_not_one(learner: Learner, batches: EpochBatches) -> str | None:
    """The network's error on one example, such as from batch normalisation; None if it works."""
    ((inputs, _), _) = next(batches.epoch(0, with_meta=False))
    try:
        with torch.no_grad():
            learner.model.train()(inputs[:1])
    except Exception as error:  # noqa: BLE001 - whatever a network raises
        return first_line(error)
    return None
