"""Pre-activation residual networks for small images (He et al. 2016).

The layout is the usual one in work on noisy labels: a 3x3 stem with a norm, and `layer1` to
`layer4` of basic blocks whose shortcut starts after the first activation.
"""

# Shapes: B images, H x W pixels.
from __future__ import annotations

from collections.abc import Callable, Sequence

import torch.nn.functional as F
from torch import Tensor, nn

__all__ = ["Norm", "PreActBlock", "PreActResNet", "he_initialised", "norm_layer", "residual_stages"]

Norm = Callable[[int], nn.Module]

# oneDNN's strided 1x1 convolution writes out of bounds if there are fewer input channels than a
# vector register holds: 8 with AVX2, 16 with AVX-512 (oneDNN, issue 6035).
_NARROW = 16


def norm_layer(kind: str) -> Norm:
    """The norm of a kind: `batch`, or `group` (groups of 8 channels, examples not coupled)."""
    if kind == "group":
        return lambda channels: nn.GroupNorm(max(1, channels // 8), channels)
    return nn.BatchNorm2d


def he_initialised(network: nn.Module) -> None:
    """Initialises every convolution from N(0, 2 / (kernel size x output channels))."""
    for module in network.modules():
        if isinstance(module, nn.Conv2d):
            nn.init.kaiming_normal_(module.weight, mode="fan_out", nonlinearity="relu")


def residual_stages(
    block: Callable[[int, int, int, Norm], nn.Module],
    inputs: int,
    blocks: Sequence[int],
    widths: Sequence[int],
    norm: Norm,
) -> dict[str, nn.Sequential]:
    """Stages of blocks by name, `layer1` and so on; those after the first halve the resolution.

    Args:
        block: called with input channels, output channels, stride and norm.
        inputs: channels of the first block's input.
        blocks: number of blocks of each stage.
        widths: channels of each stage.
        norm: called with the number of channels.
    """
    stages = {}
    for i, (count, width) in enumerate(zip(blocks, widths, strict=True), start=1):
        stages[f"layer{i}"] = stage = nn.Sequential()
        for j in range(count):
            stage.append(block(inputs, width, 2 if i > 1 and j == 0 else 1, norm))
            inputs = width
    return stages


class PreActBlock(nn.Module):
    """A residual block of two 3x3 convolutions, each after a norm and ReLU."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.bn1 = norm(inputs)
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn2 = norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.shortcut: nn.Module | None = None
        self.every = stride if inputs < _NARROW else 1  # stride by slicing, for the bug in oneDNN
        if stride != 1 or inputs != outputs:
            self.shortcut = nn.Conv2d(inputs, outputs, 1, stride // self.every, bias=False)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(x), inplace=True)
        seen = out if self.every == 1 else out[:, :, :: self.every, :: self.every]
        shortcut = x if self.shortcut is None else self.shortcut(seen)
        out = self.conv2(F.relu(self.bn2(self.conv1(out)), inplace=True))
        result: Tensor = out + shortcut
        return result


class PreActResNet(nn.Module):
    """Logits (B, classes) from images (B, channels, H, W).

    Args:
        classes: number of classes.
        channels: of the images.
        blocks: blocks of each stage; stages after the first halve the resolution.
        widths: channels of each stage; the stem has as many as the first.
        norm: `batch` or `group`.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 3,
        blocks: Sequence[int] = (2, 2, 2, 2),
        widths: Sequence[int] = (64, 128, 256, 512),
        norm: str = "batch",
    ) -> None:
        super().__init__()
        make_norm = norm_layer(norm)
        self.conv1 = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        self.bn1 = make_norm(widths[0])
        stages = residual_stages(PreActBlock, widths[0], blocks, widths, make_norm)
        self.stages = list(stages)
        for name, stage in stages.items():
            self.add_module(name, stage)
        self.linear = nn.Linear(widths[-1], classes)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        for stage in self.stages:
            out = self.get_submodule(stage)(out)
        logits_BC: Tensor = self.linear(out.mean(dim=(2, 3)))
        return logits_BC
