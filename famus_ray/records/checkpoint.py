"""Checkpoints: everything that a run needs to resume exactly, in one file, written atomically.

They hold no generator states: an epoch's random numbers follow from its number (`randomness`).
"""

from __future__ import annotations

import io
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import torch

from famus_ray.errors import UserError, first_line
from famus_ray.files import replaced

__all__ = ["load_checkpoint", "save_checkpoint"]

_VERSION = 1


def save_checkpoint(path: Path, state: Mapping[str, Any]) -> None:
    """Writes `state`, of tensors and plain values, to `path`, completely or not at all.

    Raises:
        NotWritten: a full disk or another error of the system.
    """
    # In memory first: on a full disk torch's own writer raises an error that names no file.
    file = io.BytesIO()
    torch.save({"version": _VERSION, **state}, file)
    with replaced(path) as temporary:
        temporary.write_bytes(file.getbuffer())


def load_checkpoint(path: Path, device: torch.device) -> dict[str, Any]:
    """The state that `save_checkpoint` wrote; only tensors and plain values are unpickled.

    Raises:
        UserError: a file that is damaged or of another version.
    """
    try:
        state: dict[str, Any] = torch.load(path, map_location=device, weights_only=True)
    except Exception as error:  # a damaged file raises errors of many types
        raise UserError(f"{path}: not a readable checkpoint ({first_line(error)})") from error
    if not isinstance(state, dict):
        raise UserError(f"{path}: not one of famus_ray's checkpoints")
    if state.get("version") != _VERSION:
        raise UserError(f"{path}: version {state.get('version')}, this famus_ray reads {_VERSION}")
    return state
