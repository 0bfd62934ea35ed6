"""What a reader gives: images and their labels, in memory."""

from __future__ import annotations

from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

__all__ = ["Images"]


@dataclass(frozen=True)
class Images:
    """N images with their labels.

    Attributes:
        pixels: uint8 (N, channels, H, W).
        labels: int64 (N,), in [0, classes).
        mean: of each channel, on the scale [0, 1].
        std: of each channel, on the same scale.
        superclass_of: (classes,) for data sets with a hierarchy.
    """

    pixels: NDArray[np.uint8]
    labels: NDArray[np.int64]
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    superclass_of: NDArray[np.int64] | None = None
