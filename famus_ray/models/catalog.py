"""Networks by name: this package's own, any classifier of timm or torchvision, the user's own."""

# Shapes: B images, H x W pixels.
from __future__ import annotations

import re
from collections.abc import Callable
from pathlib import Path
from typing import Any

import torch
from torch import nn

from famus_ray.config.import_path import is_import_path
from famus_ray.config.schema import ModelConfig
from famus_ray.errors import UserError, first_line, near, suggestion
from famus_ray.models.cosine import CosineClassifier
from famus_ray.models.of_the_user import of_the_user
from famus_ray.models.preact_resnet import PreActResNet
from famus_ray.models.resnet import ResNet
from famus_ray.models.wide_resnet import WideResNet

__all__ = ["build_model"]

Small = Callable[..., nn.Module]

# name: class, blocks of each stage, widths of each stage
_SMALL: dict[str, tuple[Small, tuple[int, ...], tuple[int, ...]]] = {
    "preact_resnet18": (PreActResNet, (2, 2, 2, 2), (64, 128, 256, 512)),
    "preact_resnet8": (PreActResNet, (1, 1, 1), (16, 32, 64)),
    "resnet32": (ResNet, (5, 5, 5), (16, 32, 64)),
}
_OWN = (*_SMALL, "wrn28_10", "wrn40_2")
_HOW_OWN = (
    "; one of your own is named by its import path, such as mine.nets:small (one that a script "
    "registers with timm is known in that script only)"
)


def build_model(model: ModelConfig, classes: int, channels: int) -> nn.Module:
    """A new network from images (B, channels, H, W) to logits (B, classes).

    Its weights are random, or from the file `model.weights`.

    Raises:
        UserError: an unknown name, or widths or weights that do not fit.
    """
    network = _build(model, classes, channels)
    if model.weights is not None:
        _load_weights(network, Path(model.weights).expanduser())
    return network


def _build(model: ModelConfig, classes: int, channels: int) -> nn.Module:
    if (small := _small(model.name)) is not None:
        network, blocks, widths = small
        if model.widths is not None and len(model.widths) != len(blocks):
            raise UserError(
                f"model.widths = {list(model.widths)}: {model.name} has {len(blocks)} stages, "
                f"such as {list(widths)}"
            )
        widths = model.widths or widths
        built = network(classes, channels, blocks, widths, model.norm)
        if model.classifier == "cosine":
            built.linear = CosineClassifier(widths[-1], classes, model.logit_scale)
        return built
    is_own = is_import_path(model.name)
    create = of_the_user(model.name) if is_own else _of_library(model.name)
    for name in ("widths", "norm", "classifier"):
        value, default = getattr(model, name), getattr(ModelConfig(), name)
        if value != default:
            raise UserError(
                f"model.{name} = {value}: only for {', '.join(_OWN)}, not {model.name}; "
                f"set model.{name}={'null' if default is None else default}"
            )
    return create(classes, channels)


def _small(name: str) -> tuple[Small, tuple[int, ...], tuple[int, ...]] | None:
    """One of this package's networks, with the blocks and widths of its stages."""
    if name in _SMALL:
        return _SMALL[name]
    # wrn28_10 has 28 layers, 6 n + 4 for n blocks in each stage, and is 10 times as wide
    match = re.fullmatch(r"wrn(\d+)_([1-9]\d*)", name)
    if match is not None and max(map(len, match.groups())) > 3:
        raise UserError(f"model.name = {name[:100]}: at most wrn994_999 can be built")
    if match is None or int(match[1]) < 10 or int(match[1]) % 6 != 4:
        return None
    blocks = (int(match[1]) // 6,) * 3
    first = 16 * int(match[2])
    return WideResNet, blocks, (first, 2 * first, 4 * first)


def _of_library(name: str) -> Callable[[int, int], nn.Module]:
    """A function that builds a network of timm or torchvision from classes and channels."""
    import timm
    import torchvision

    library, _, plain = name.rpartition("/")
    in_torchvision = plain in torchvision.models.list_models(module=torchvision.models)
    if timm.is_model(plain) and library in ("", "timm"):
        return lambda classes, channels: timm.create_model(
            plain, num_classes=classes, in_chans=channels
        )
    if not in_torchvision or library not in ("", "torchvision"):
        known = {*_OWN, *timm.list_models(), *torchvision.models.list_models()}
        hint = suggestion(near(plain, known, most=3))
        raise UserError(
            f"model.name = {name}: not here, in timm or in torchvision{hint or _HOW_OWN}"
        )

    def create(classes: int, channels: int) -> nn.Module:
        if channels != 3:
            raise UserError(f"model.name = {name}: takes 3 channels, the images have {channels}")
        network: nn.Module = torchvision.models.get_model(plain, weights=None, num_classes=classes)
        return network

    return create


def _load_weights(network: nn.Module, path: Path) -> None:
    """Loads weights from a file; a classifier of another size keeps its random weights."""
    state = _read_weights(path)
    own = network.state_dict()
    fitting = {k: v for k, v in state.items() if k in own and v.shape == own[k].shape}
    classifier = list(own)[-1].rpartition(".")[0]
    misfits = [k for k in own if k not in fitting and k.rpartition(".")[0] != classifier]
    if misfits:
        raise UserError(f"model.weights = {path}: does not fit the network, from {misfits[0]!r} on")
    network.load_state_dict(fitting, strict=False)


def _read_weights(path: Path) -> dict[str, torch.Tensor]:
    """Tensors by name; nothing else is unpickled."""
    if not path.is_file():
        raise UserError(f"model.weights = {path}: no such file")
    try:
        if path.suffix == ".safetensors":
            from safetensors.torch import load_file

            state: Any = load_file(path)
        else:
            state = torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # a damaged file raises errors of many types
        reason = first_line(error)
        raise UserError(f"model.weights = {path}: cannot be read ({reason})") from error
    if isinstance(state, dict) and isinstance(state.get("model"), dict):
        state = state["model"]  # one of our own checkpoints
    if not isinstance(state, dict) or not all(isinstance(v, torch.Tensor) for v in state.values()):
        raise UserError(f"model.weights = {path}: not a state dict of tensors by name")
    tensors: dict[str, torch.Tensor] = state
    return tensors
