"""Wide residual networks for small images (Zagoruyko & Komodakis 2016), without dropout."""

# Shapes: B images, H x W pixels.
from __future__ import annotations

from collections.abc import Sequence

import torch.nn.functional as F
from torch import Tensor, nn

from famus_ray.models.preact_resnet import (
    PreActBlock,
    he_initialised,
    norm_layer,
    residual_stages,
)

__all__ = ["WideResNet"]

_STEM = 16


class WideResNet(nn.Module):
    """Logits (B, classes) from images (B, channels, H, W).

    Args:
        classes: number of classes.
        channels: of the images.
        blocks: blocks of each stage: WRN-28-10 has 4, (28 - 4) / 6.
        widths: channels of each stage: WRN-28-10 has 160, 320 and 640; the stem has 16.
        norm: `batch` or `group`.
    """

    def __init__(
        self,
        classes: int,
        channels: int = 3,
        blocks: Sequence[int] = (4, 4, 4),
        widths: Sequence[int] = (160, 320, 640),
        norm: str = "batch",
    ) -> None:
        super().__init__()
        make_norm = norm_layer(norm)
        self.conv1 = nn.Conv2d(channels, _STEM, 3, padding=1, bias=False)
        stages = residual_stages(PreActBlock, _STEM, blocks, widths, make_norm)
        self.stages = list(stages)
        for name, stage in stages.items():
            self.add_module(name, stage)
        self.bn = make_norm(widths[-1])
        self.linear = nn.Linear(widths[-1], classes)
        he_initialised(self)

    def forward(self, x: Tensor) -> Tensor:
        out = self.conv1(x)
        for stage in self.stages:
            out = self.get_submodule(stage)(out)
        logits_BC: Tensor = self.linear(F.relu(self.bn(out)).mean(dim=(2, 3)))
        return logits_BC
