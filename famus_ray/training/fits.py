"""Memory that a run needs, estimated before it is allocated.

The estimates are lower bounds: a refused run cannot fit, an accepted one may still be too large.
`estimate.run_cost` measures a run that starts.
"""

from __future__ import annotations

import math
from collections.abc import Mapping
from typing import TYPE_CHECKING

import torch
from torch import Tensor, nn

from famus_ray.config.import_path import is_import_path
from famus_ray.config.schema import Config
from famus_ray.errors import UserError
from famus_ray.memory import free_memory, in_gib

if TYPE_CHECKING:
    from famus_ray.data.catalog import Dataset

__all__ = ["check_fits"]

_NUMBER = 4  # bytes of a float32
_INDEX = 8
_FILTERS = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear)


def check_fits(config: Config, data: Dataset) -> None:
    """Raises UserError for a run that needs more memory than is free here.

    The error names the setting with the largest part. Nothing is checked for a run on a cluster,
    whose memory is that of the workers' machines.
    """
    if config.scale.address is not None:
        return
    free = free_memory(_device(config))
    parts = _of_images(config, data)
    parts = parts if sum(parts.values()) > free else parts | _of_network(config, data, free)
    if sum(parts.values()) > free:
        raise UserError(_too_large(config, parts, free))


def _too_large(config: Config, parts: Mapping[str, float], free: float) -> str:
    key = max(parts, key=lambda key: parts[key])
    section, _, name = key.partition(".")
    value = getattr(getattr(config, section), name)
    others = [f"{in_gib(size)} for {other}" for other, size in parts.items() if size > 2**27]
    return (
        f"{key} = {list(value) if isinstance(value, tuple) else value}: needs more memory than "
        f"there is: at least {in_gib(sum(parts.values()))} ({', '.join(others)}), and "
        f"{in_gib(free)} are free; lower it"
    )


def _of_images(config: Config, data: Dataset) -> dict[str, float]:
    """Bytes by setting: of a batch of images, and of an epoch of balanced batches."""
    shape, rows = data.train.pixels.shape, config.run.batch_size / config.scale.workers
    image, padded = math.prod(shape[1:]), 2 * config.data.crop_padding
    parts = {"run.batch_size": rows * image * (_NUMBER + 1)}
    in_memory = isinstance(data.train.pixels, Tensor)
    if in_memory and config.data.augment != "none":
        parts["data.crop_padding"] = rows * shape[1] * (shape[2] + padded) * (shape[3] + padded)
    if config.schedule.balanced_batches is not None:
        wanted = config.schedule.balanced_batches * config.run.batch_size
        each = 5 * _INDEX + (image if in_memory else 0)
        parts["schedule.balanced_batches"] = wanted * each
    return parts


def _of_network(config: Config, data: Dataset, free: float) -> dict[str, float]:
    """Bytes by setting: of networks with gradients and momentum, activations and meta model.

    Of the networks alone if these exceed `free`. The network is built on the meta device, where
    tensors have shapes but no values; one that cannot be built there is not estimated.
    """
    networks = 2 if config.has_two_networks else 1
    copies = 2 + (config.optimiser.momentum > 0) + (config.optimiser.accumulate > 1)
    copies += config.method.declaration.moves_all_layers
    sized = "model.name" if config.model.widths is None else "model.widths"
    from famus_ray.methods import build_step
    from famus_ray.models.catalog import build_model

    settings = config.model.model_copy(update={"weights": None})
    try:
        with torch.device("meta"):
            model = build_model(settings, data.classes, data.channels)
            parameters = networks * copies * _parameters(model) * _NUMBER
            if parameters > free:
                return {sized: parameters}
            step = build_step(config, model, data.classes, torch.Generator("cpu"))
            activations = _activations(model, data.train.pixels.shape[1:])
    except UserError:
        if is_import_path(settings.name):  # it may need numbers; built with them, it is checked
            return {}
        raise
    except Exception:  # noqa: BLE001 - whatever a network does that needs numbers
        return {}
    rows = config.run.batch_size / config.scale.workers * (4 if config.has_two_networks else 1)
    meta = getattr(step, "step", step)
    beside = _parameters(getattr(meta, "gates", None)) * 3  # gradients and momentum with them
    width = _NUMBER if config.run.precision == "float32" else _NUMBER // 2
    return {
        sized: parameters,
        "run.batch_size": rows * (activations * width + math.prod(data.train.pixels.shape[1:]) * 5),
        "meta.gate_hidden": networks * beside * _NUMBER,
        "meta.hidden": rows * config.meta.hidden * _NUMBER if _parameters(meta.head) else 0,
    }


def _parameters(module: object) -> int:
    return sum(p.numel() for p in module.parameters()) if isinstance(module, nn.Module) else 0


def _activations(model: nn.Module, shape: tuple[int, ...]) -> float:
    """A lower bound of the values that one image keeps for the backward pass: the outputs of
    convolutions and linear layers."""
    counts: list[int] = []

    def count(module: nn.Module, inputs: object, output: object) -> None:
        counts.append(output.numel() if isinstance(output, Tensor) else 0)

    hooks = [m.register_forward_hook(count) for m in model.modules() if isinstance(m, _FILTERS)]
    try:
        with torch.no_grad():
            model.train()(torch.empty(2, *shape))
    finally:
        for hook in hooks:
            hook.remove()
    return sum(counts) / 2


def _device(config: Config) -> torch.device | None:
    is_gpu = config.run.device != "cpu" and torch.cuda.is_available()
    return torch.device("cuda", torch.cuda.current_device()) if is_gpu else None
