"""Checks before training: non-empty splits, and a network that accepts the run's batches."""

# Shapes: B examples of a batch, C classes.

from __future__ import annotations

import torch
from torch import Tensor, nn

from famus_ray.config.schema import Config
from famus_ray.data.catalog import Dataset
from famus_ray.errors import UserError, first_line

__all__ = ["check_network", "check_splits"]


def check_splits(config: Config, data: Dataset) -> None:
    """Raises UserError if the test set is empty, or the validation set that selects epochs."""
    if config.run.select == "validation" and not len(data.validation):
        raise UserError(
            f"data.validation_fraction = {config.data.validation_fraction}: leaves nothing to "
            "select the best epoch on; raise it, or set run.select=test as papers do"
        )
    if not len(data.test):
        raise UserError(
            f"data.root = {config.data.root}: the test set of {config.data.name} is empty, and "
            "every run reports the accuracy on it; put some examples into it"
        )


def check_network(
    model: nn.Module, config: Config, inputs: Tensor, classes: int, meta_rows: int
) -> None:
    """Raises UserError unless the network maps the run's images to logits (B, C).

    Args:
        model: the network.
        config: the run's settings.
        inputs: a train batch (B, ...) of this process, normalised.
        classes: C.
        meta_rows: examples of a meta batch of this process; 0 without one.
    """
    two = inputs[:2] if len(inputs) > 1 else inputs.repeat(2, 1, 1, 1)
    shape = "x".join(map(str, inputs.shape[1:]))
    try:
        with torch.no_grad():
            logits = model.train()(two)
    except Exception as error:  # networks raise errors of any type on images they do not accept
        raise UserError(
            f"model.name = {config.model.name}: cannot take {shape} images ({first_line(error)})"
        ) from error
    if not isinstance(logits, Tensor) or logits.shape != (2, classes):
        raise UserError(
            f"model.name = {config.model.name}: gives {_described(logits)} for two images of "
            f"{classes} classes; it must be a tensor of the shape (2, {classes}), one logit for "
            "each class"
        )
    for key, rows in (("run.batch_size", len(inputs)), ("meta.batch_size", meta_rows)):
        if rows == 1:
            _check_one(model, config, inputs[:1], key)


def _described(output: object) -> str:
    if isinstance(output, Tensor):
        return f"a tensor of the shape {tuple(output.shape)}"
    return f"a {type(output).__name__}"


def _check_one(model: nn.Module, config: Config, one: Tensor, key: str) -> None:
    """Raises UserError if the network cannot train on one image: BatchNorm needs two values per
    channel, and late layers may have one per image."""
    try:
        with torch.no_grad():
            model(one)
    except Exception as error:
        raise UserError(
            f"{key} = 1: {config.model.name} cannot train on one example at a time "
            f"({first_line(error)}); take 2 or more, or model.norm=group where the network has it"
        ) from error
