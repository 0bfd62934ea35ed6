"""Networks of the user's own, by import path: a function, a class, or a network as it is."""

from __future__ import annotations

import copy
import inspect
import traceback
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from famus_ray.config.import_path import imported
from famus_ray.errors import UserError, first_line

__all__ = ["of_the_user"]


def of_the_user(path: str) -> Callable[[int, int], nn.Module]:
    """A function that makes the network at an import path, given classes and channels.

    What is there may be a function or class of (classes, channels), or a network, of which copies
    with its weights are made.

    Raises:
        UserError: it cannot be imported, or is none of these. The function raises it if the
            network cannot be made.
    """
    try:
        # The first import may be here, where networks are built without numbers or from a seed.
        with torch.device("cpu"), torch.random.fork_rng(devices=[]):
            found: Any = imported(path)
    except ValueError as error:
        raise UserError(f"model.name = {path}: {error}") from error
    if isinstance(found, nn.Module):
        return lambda classes, channels: copy.deepcopy(found)
    if not callable(found):
        kind = type(found).__name__
        raise UserError(f"model.name = {path}: is a {kind}, neither a function nor a network")
    try:
        inspect.signature(found).bind(10, 3)
    except (TypeError, ValueError) as error:
        raise UserError(
            f"model.name = {path}: cannot be called as {path.rpartition(':')[2]}(classes, "
            f"channels) ({first_line(error)}); name a function that can, and calls this one"
        ) from error
    return lambda classes, channels: _made(path, found, classes, channels)


def _made(path: str, create: Callable[[int, int], Any], classes: int, channels: int) -> nn.Module:
    try:
        network = create(classes, channels)
    except Exception as error:
        last = traceback.extract_tb(error.__traceback__)[-1]
        raise UserError(
            f"model.name = {path}: failed for {classes} classes and {channels} channels "
            f"({type(error).__name__}: {first_line(error)}; {Path(last.filename).name}, "
            f"line {last.lineno})"
        ) from error
    if not isinstance(network, nn.Module):
        raise UserError(f"model.name = {path}: gave a {type(network).__name__}, not a nn.Module")
    return network
