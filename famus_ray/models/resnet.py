"""Residual networks for small images as first published (He et al. 2015, section 4.2).

Their shortcuts have no parameters: at the start of a stage the image is subsampled and padded
with zero channels (option A).
"""

# Shapes: B images, H x W pixels.
from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from famus_ray.models.preact_resnet import Norm, he_initialised, norm_layer, residual_stages

__all__ = ["ResNet"]


class BasicBlock(nn.Module):
    """A residual block of two 3x3 convolutions, each before a norm; its shortcut has no weights."""

    def __init__(self, inputs: int, outputs: int, stride: int, norm: Norm) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(inputs, outputs, 3, stride, padding=1, bias=False)
        self.bn1 = norm(outputs)
        self.conv2 = nn.Conv2d(outputs, outputs, 3, padding=1, bias=False)
        self.bn2 = norm(outputs)
        self.stride = stride
        missing = outputs - inputs
        self.padding = (0, 0, 0, 0, missing // 2, missing - missing // 2)

    def forward(self, x: Tensor) -> Tensor:
        out = self.bn2(self.conv2(F.relu(self.bn1(self.conv1(x)))))
        return F.relu(out + F.pad(x[:, :, :: self.stride, :: self.stride], self.padding))


class ResNet(nn.Module):
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
        blocks: Sequence[int] = (5, 5, 5),
        widths: Sequence[int] = (16, 32, 64),
        norm: str = "batch",
    ) -> None:
        super().__init__()
        make_norm = norm_layer(norm)
        self.conv1 = nn.Conv2d(channels, widths[0], 3, padding=1, bias=False)
        self.bn1 = make_norm(widths[0])
        stages = residual_stages(BasicBlock, widths[0], blocks, widths, make_norm)
        self.stages = list(stages)
        for name, stage in stages.items():
            self.add_module(name, stage)
        self.linear = nn.Linear(widths[-1], classes)
        he_initialised(self)

    def forward(self, x: Tensor) -> Tensor:
        out = F.relu(self.bn1(self.conv1(x)))
        for stage in self.stages:
            out = self.get_submodule(stage)(out)
        logits_BC: Tensor = self.linear(out.mean(dim=(2, 3)))
        return logits_BC
