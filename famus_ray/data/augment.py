"""Augmentation of a whole batch at once, on its device.

Random numbers are drawn on the CPU for the global batch, so they do not depend on the number of
workers or the device.
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
    """Random crops and flips of a batch.

    Attributes:
        top, left: offsets (B,) of the crops in pixels.
        mirrored: bool (B,).
    """

    top: Tensor
    left: Tensor
    mirrored: Tensor

    def __getitem__(self, rows: slice | Tensor) -> Views:
        return Views(self.top[rows], self.left[rows], self.mirrored[rows])


def draw_views(count: int, data: DataConfig, generator: torch.Generator) -> Views | None:
    """Random views of `count` examples; None without augmentation."""
    if data.augment == "none":
        return None
    offsets = torch.randint(0, 2 * data.crop_padding + 1, (2, count), generator=generator)
    coins = torch.rand(count, generator=generator) < 0.5
    return Views(offsets[0], offsets[1], coins if data.augment == "crop_flip" else coins & False)


def augment(pixels: Tensor, views: Views | None, padding: int) -> Tensor:
    """Crops (B, channels, H, W) of the zero-padded images, some of them mirrored.

    Args:
        pixels: images (B, channels, H, W).
        views: of each image; None returns the images unchanged.
        padding: pixels on each side.
    """
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
    # Index tensors on both sides of the channel axis move it to the end; permute moves it back.
    cropped = padded[example, :, rows[:, :, None], columns[:, None, :]]
    return cropped.permute(0, 3, 1, 2).contiguous()


def normalise(pixels: Tensor, mean: tuple[float, ...], std: tuple[float, ...]) -> Tensor:
    """uint8 pixels (B, channels, H, W) as floats, normalised with each channel's mean and std.

    Args:
        pixels: uint8.
        mean, std: of each channel, on the scale [0, 1].
    """
    shape = (1, -1, 1, 1)
    scale = 255 * torch.tensor(std, device=pixels.device).view(shape)
    shift = torch.tensor(mean, device=pixels.device).view(shape) * 255
    return (pixels.to(shift.dtype) - shift) / scale
