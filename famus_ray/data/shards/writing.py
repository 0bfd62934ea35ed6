"""Writes one shard, in a process of its own: reads, checks and scales its images."""

# Shapes: N images of the shard, H x W pixels.
from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from dataclasses import asdict, dataclass
from io import BytesIO
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from famus_ray.data.decode import NotAnImage, decode
from famus_ray.data.images import Paths
from famus_ray.data.shards.shard_file import ShardRow, write_shard
from famus_ray.files import replaced

__all__ = ["Part", "Written", "write_part"]

_QUALITY = 92  # of JPEG, where images are scaled


@dataclass(frozen=True)
class Part:
    """The images of one shard.

    Attributes:
        path: of the shard.
        pixels: image files, or uint8 (N, channels, H, W).
        first_id: the id of the first; the others follow.
        labels, truth: int64 (N,); -1 for an unknown true label.
        checked: bool (N,); None if nobody has checked any.
        shorter_side: pixels to which larger images are scaled; None keeps all.
    """

    path: Path
    pixels: Paths | NDArray[np.uint8]
    first_id: int
    labels: NDArray[np.int64]
    truth: NDArray[np.int64]
    checked: NDArray[np.bool_] | None
    shorter_side: int | None


@dataclass(frozen=True)
class Written:
    """A shard that is complete.

    Attributes:
        images: that it holds.
        bytes: its size.
        sha256: of its contents, hexadecimal.
        skipped: path and reason of each image that cannot be read.
    """

    images: int
    bytes: int
    sha256: str
    skipped: tuple[tuple[str, str], ...]

    def as_json(self) -> dict[str, Any]:
        return asdict(self)

    @classmethod
    def of_json(cls, content: Mapping[str, Any]) -> Written:
        skipped = tuple((path, reason) for path, reason in content["skipped"])
        return cls(**{**content, "skipped": skipped})


def write_part(part: Part) -> Written:
    """Writes a shard whole, and returns what it holds."""
    skipped: list[tuple[str, str]] = []
    with replaced(part.path) as temporary:
        write_shard(temporary, _rows(part, skipped))
        with temporary.open("rb") as file:
            digest = hashlib.file_digest(file, "sha256")
        size = temporary.stat().st_size
    images = len(part.labels) - len(skipped)
    return Written(images, size, digest.hexdigest(), tuple(skipped))


def _rows(part: Part, skipped: list[tuple[str, str]]) -> Iterator[ShardRow]:
    for place in range(len(part.labels)):
        name = _name(part, place)
        try:
            image = _encoded(part, place)
        except NotAnImage as error:
            skipped.append((name, error.reason))
            continue
        yield ShardRow(
            part.first_id + place,
            image,
            int(part.labels[place]),
            int(part.truth[place]),
            part.checked is not None and bool(part.checked[place]),
            name,
        )


def _name(part: Part, place: int) -> str:
    """The image's name in the data set; an image of an array is named by its place."""
    if isinstance(part.pixels, Paths):
        return str(part.pixels.names[place].as_py())
    return f"{part.first_id + place:08d}.png"


def _encoded(part: Part, place: int) -> bytes:
    """The image's file as it is, unless it is to be smaller.

    Raises:
        NotAnImage: it cannot be read.
    """
    if not isinstance(part.pixels, Paths):
        return _png(part.pixels[place])
    file, path = part.pixels.encoded(place), part.pixels.path(place)
    try:
        content = file if isinstance(file, bytes) else file.read_bytes()
    except OSError as error:
        raise NotAnImage(path, error.strerror or str(error)) from error
    pixels = decode(content, 3, path).numpy()
    height, width = pixels.shape[1:]
    if part.shorter_side is None or min(height, width) <= part.shorter_side:
        return content
    return _scaled(pixels, part.shorter_side)


def _scaled(pixels: NDArray[np.uint8], shorter_side: int) -> bytes:
    """The image (3, H, W) with its shorter side of so many pixels, as JPEG; grey stays grey."""
    from PIL import Image

    image = Image.fromarray(np.ascontiguousarray(pixels.transpose(1, 2, 0)))
    if (pixels == pixels[:1]).all():
        image = image.convert("L")
    factor = shorter_side / min(image.size)
    width, height = (max(shorter_side, round(side * factor)) for side in image.size)
    file = BytesIO()
    image.resize((width, height), Image.Resampling.BICUBIC).save(file, "JPEG", quality=_QUALITY)
    return file.getvalue()


def _png(pixels: NDArray[np.uint8]) -> bytes:
    """An image (1 or 3, H, W), without loss."""
    from PIL import Image

    shaped = pixels[0] if len(pixels) == 1 else np.ascontiguousarray(pixels.transpose(1, 2, 0))
    file = BytesIO()
    Image.fromarray(shaped).save(file, "PNG")
    return file.getvalue()
