"""An encoded image as uint8 pixels, upright and on white, in the number of channels asked for.

The format is told by the contents, so the ending of a file's name does not matter.
"""

# Shapes: H x W pixels, upright.
from __future__ import annotations

import logging
import warnings
from contextlib import suppress
from functools import cache
from io import BytesIO
from pathlib import Path
from typing import TYPE_CHECKING

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from famus_ray.errors import UserError, first_line

if TYPE_CHECKING:
    from PIL.Image import Image

__all__ = ["NotAnImage", "decode"]

Pixels = NDArray[np.uint8]

_ORIENTATION = 0x0112  # EXIF's tag
_OF_PILLOW = r"PIL\."
_PROGRAMS = ("EPS",)  # Pillow has Ghostscript run these


class NotAnImage(UserError):
    """A file that is missing, damaged, empty, too large or no image.

    Attributes:
        path: of the file.
        reason: why it cannot be read.
    """

    def __init__(self, path: Path, reason: str) -> None:
        super().__init__(path, reason)  # both, so that the error can be pickled
        self.path, self.reason = path, reason

    def __str__(self) -> str:
        return (
            f"{self.path}: cannot be read as an image ({self.reason}); `famus-ray data check PATH "
            "--all` lists all such files, and data.damaged=leave_out leaves them out"
        )


def decode(file: Path | bytes, channels: int, path: Path | None = None) -> Tensor:
    """The image as a uint8 tensor (channels, H, W): the first frame, turned as EXIF says.

    Transparent pixels are composed on white. Colours become grey by their luma (ITU-R 601). Grey
    images of more than 8 bits are scaled from their own lowest and highest value to 0 and 255,
    because 16 bits often hold 10, 12 or 14, from some offset on, and nothing in the file says so:
    an image is never all black or all white, but its brightness says nothing beside another's. An
    image of one value becomes black. Floats within [0, 1] are taken as they are, 1 as white; NaN
    becomes black, infinity the end of the scale.

    Args:
        file: on disk, or the encoded bytes.
        channels: 1 (grey) or 3 (red, green, blue).
        path: names the bytes in messages.

    Raises:
        NotAnImage: a file that is missing, damaged, empty, or in no format that Pillow reads; one
            of more pixels than Pillow takes for safe, 179 million.
    """
    _hush()
    named = path or (file if isinstance(file, Path) else Path("image"))
    try:
        pixels = _pixels(file, channels)
    except Exception as error:  # a damaged file raises errors of many types
        raise NotAnImage(named, _reason(file, error)) from error
    return torch.from_numpy(pixels.reshape(*pixels.shape[:2], channels)).permute(2, 0, 1)


def _pixels(file: Path | bytes, channels: int) -> Pixels:
    from PIL import Image

    source = file if isinstance(file, Path) else BytesIO(file)
    with Image.open(source, formats=_formats()) as image:
        image.load()
        mode = "L" if channels == 1 else "RGB"
        flat = _wide(image).convert(mode) if _is_wide(image) else _on_white(image, mode)
        return np.array(_upright(flat, _orientation(image)))


def _is_wide(image: Image) -> bool:
    """Whether an image is grey with more than 8 bits a pixel."""
    return image.mode in ("I", "F") or image.mode.startswith("I;")


def _wide(image: Image) -> Image:
    """A grey image of more than 8 bits in 8, on white where its transparent value is."""
    from PIL import Image

    values = np.asarray(image).astype(np.float64)
    finite = values[np.isfinite(values)]
    low, high = (finite.min(), finite.max()) if finite.size else (0.0, 0.0)
    if image.mode == "F" and low >= 0 and high <= 1:
        low, high = 0.0, 1.0
    scaled = (np.clip(values, low, high) - low) / (high - low or 1)
    grey = np.rint(255 * np.nan_to_num(scaled)).astype(np.uint8)
    transparent = image.info.get("transparency")
    if isinstance(transparent, int):
        grey[values == transparent] = 255
    return Image.fromarray(grey)


def _on_white(image: Image, mode: str) -> Image:
    from PIL import Image

    if not image.has_transparency_data:
        return image.convert(mode)
    white = Image.new("RGBA", image.size, "white")
    return Image.alpha_composite(white, image.convert("RGBA")).convert(mode)


def _orientation(image: Image) -> int:
    """EXIF's orientation, from 1 (upright) to 8; 1 where its data are missing or damaged."""
    with suppress(Exception):  # damaged EXIF raises errors of many types; the pixels are whole
        return int(image.getexif().get(_ORIENTATION, 1))
    return 1


def _upright(image: Image, orientation: int) -> Image:
    from PIL.Image import Transpose

    turns = {
        2: Transpose.FLIP_LEFT_RIGHT, 3: Transpose.ROTATE_180, 4: Transpose.FLIP_TOP_BOTTOM,
        5: Transpose.TRANSPOSE, 6: Transpose.ROTATE_270, 7: Transpose.TRANSVERSE,
        8: Transpose.ROTATE_90,
    }  # fmt: skip
    return image.transpose(turns[orientation]) if orientation in turns else image


def _reason(file: Path | bytes, error: Exception) -> str:
    from PIL import UnidentifiedImageError
    from PIL.Image import DecompressionBombError

    if isinstance(file, Path) and not file.exists():
        return "no such file"
    if isinstance(file, Path) and not file.is_file():
        return "not a file"
    if not (file if isinstance(file, bytes) else file.stat().st_size):
        return "the file is empty"
    if isinstance(error, UnidentifiedImageError):
        return "damaged from its start, or in no image format that is known here"
    if isinstance(error, DecompressionBombError):
        return f"refused for safety: {first_line(error)}"
    return first_line(error)


@cache
def _formats() -> tuple[str, ...]:
    from PIL import Image

    Image.init()
    return tuple(name for name in Image.ID if name not in _PROGRAMS)


def _hush() -> None:
    """Keeps Pillow's warnings off the screen: nobody can act on a palette or an odd EXIF tag.

    `warnings.catch_warnings` is not for threads, and those of others drop a filter set at import.
    """
    if not any(getattr(module, "pattern", "") == _OF_PILLOW for *_, module, _ in warnings.filters):
        warnings.filterwarnings("ignore", module=_OF_PILLOW)


logging.getLogger("PIL").addHandler(logging.NullHandler())  # else Python prints them itself
