"""The sizes of image files, by their headers."""

from __future__ import annotations

import io
from collections import Counter
from dataclasses import dataclass
from pathlib import Path

import numpy as np

from famus_ray.data.images import Paths

__all__ = ["Sizes", "sizes"]

_SAMPLE = 200  # files that are looked at
_WITHOUT = 64  # pixels a side, where no file can be read


@dataclass(frozen=True)
class Sizes:
    """The sizes of a sample of images.

    Attributes:
        pixels: width and height of each.
        grey: whether all of them are grey.
    """

    pixels: tuple[tuple[int, int], ...]
    grey: bool

    @property
    def short(self) -> int:
        """The median of the shorter sides, in pixels."""
        return int(np.median([min(size) for size in self.pixels]))

    def __str__(self) -> str:
        usual, count = Counter(self.pixels).most_common(1)[0]
        if count == len(self.pixels):
            return f"{usual[0]}x{usual[1]}"
        sides = [min(size) for size in self.pixels]
        return f"of many sizes, shorter sides of {min(sides)} to {max(sides)} pixels"


def sizes(files: Paths) -> Sizes:
    """The sizes of a sample of 200 images; those that cannot be read are passed over."""
    from PIL import Image

    places = np.random.default_rng(0).permutation(len(files))[:_SAMPLE]
    pixels, modes = [], set()
    for place in places.tolist():
        encoded = files.encoded(place)
        try:
            file = encoded if isinstance(encoded, Path) else io.BytesIO(encoded)
            with Image.open(file) as image:
                pixels.append(image.size)
                modes.add(image.mode)
        except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
            continue
    grey = bool(modes) and all(
        mode in ("1", "L", "LA", "F", "I") or mode.startswith("I;") for mode in modes
    )
    return Sizes(tuple(pixels) or ((_WITHOUT, _WITHOUT),), grey)
