"""Augmentation of a whole batch at once, on its device.

Its numbers are drawn on the CPU for the global batch: the same for any number of workers
and on any device.
"""

# Shapes: B examples, H x W pixels.
from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from famus_ray.config.schema import DataConfig

__all__ = ["Views", "augment", "draw_views", "normalise"]


@dataclass(frozen=True)
class Views:
    """How each example of a batch is seen: crop offsets (B,) in pixels, mirrored or not (B,)."""

    top: Tensor
    left: Tensor
    mirrored: Tensor

    def __getitem__(self, rows: slice | Tensor) -> Views:
        return Views(self.top[rows], self.left[rows], self.mirrored[rows])


def draw_views(count: int, data: DataConfig, generator: torch.Generator) -> Views | None:
    """Random views of `count` examples, or None where nothing is augmented."""
    if data.augment == "none":
        return None
    offsets = torch.randint(0, 2 * data.crop_padding + 1, (2, count), generator=generator)
    coins = torch.rand(count, generator=generator) < 0.5
    return Views(offsets[0], offsets[1], coins if data.augment == "crop_flip" else coins & False)


def augment(pixels: Tensor, views: Views | None, padding: int) -> Tensor:
    """Pixels (B, channels, H, W) cropped from their zero-padded images, and mirrored."""
    if views is None:
        return pixels
    _, _, height, width = pixels.shape
    device = pixels.device
    drawn = (views.top, views.left, views.mirrored)
    top, left, mirrored = (t.to(device, non_blocking=True) for t in drawn)
    padded = F.pad(pixels, (padding,) * 4)
    rows = top[:, None] + torch.arange(height, device=device)
    columns = torch.arange(width, device=device).expand(len(pixels), width)
    columns = left[:, None] + torch.where(mirrored[:, None], columns.flip(1), columns)
    example = torch.arange(len(pixels), device=device)[:, None, None]
    # Indices around the channel axis put it last; bring it back.
    cropped = padded[example, :, rows[:, :, None], columns[:, None, :]]
    return cropped.permute(0, 3, 1, 2).contiguous()


def normalise(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """uint8 pixels as floats, with mean 0 and standard deviation 1 in each channel."""
    shape = (1, -1, 1, 1)
    scale = 255 * torch.tensor(std, device=pixels.device).view(shape)
    shift = torch.tensor(mean, device=pixels.device).view(shape) * 255
    return (pixels.to(shift.dtype) - shift) / scale
