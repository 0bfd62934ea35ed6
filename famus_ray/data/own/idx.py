"""idx files, the format of MNIST and Fashion-MNIST: one array of images and one of labels."""

# Shapes: N images of H x W pixels.
from __future__ import annotations

import gzip
import struct
import zlib
from pathlib import Path

import numpy as np
from numpy.typing import NDArray

from famus_ray.data.images import UNKNOWN, Images
from famus_ray.errors import UserError

__all__ = ["holds_idx", "read_idx"]

_MARKS = {"train": ("train",), "test": ("t10k", "test")}
_UINT8 = 8  # the code of the type in an idx header


def holds_idx(root: Path) -> bool:
    """Whether the folder `root` holds training images in an idx file."""
    return _file(root, "train", "images") is not None


def read_idx(root: Path) -> dict[str, Images]:
    """The images by split: train, whose true labels are unknown, and test if there are any.

    Images are grey, uint8 (N, 1, H, W). Labels are numbered in the order of their values.

    Raises:
        UserError: a missing or damaged file, or arrays that do not belong together.
    """
    pixels, labels = _split(root, "train")
    values = np.unique(labels)
    scaled = pixels[:: max(1, len(pixels) // 10_000)].astype(np.float64) / 255
    mean, std = (float(scaled.mean()),), (max(float(scaled.std()), 1e-3),)
    names = tuple(map(str, values.tolist()))
    places = np.searchsorted(values, labels)
    unknown = np.full(len(labels), UNKNOWN)
    train = Images(pixels, places, len(values), mean, std, None, unknown, names)
    if _file(root, "test", "images") is None:
        return {"train": train}
    pixels, labels = _split(root, "test")
    if not np.isin(labels, values).all():
        strange = int(labels[~np.isin(labels, values)][0])
        raise UserError(f"{root}: the test labels have {strange}, the training labels do not")
    places = np.searchsorted(values, labels)
    test = Images(pixels, places, len(values), mean, std, class_names=names)
    return {"train": train, "test": test}


def _split(root: Path, split: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    images, labels = _file(root, split, "images"), _file(root, split, "labels")
    if images is None or labels is None:
        raise UserError(f"{root}: holds no idx file of {split} {'images' if labels else 'labels'}")
    pixels, values = _array(images, 3), _array(labels, 1)
    if len(pixels) != len(values):
        raise UserError(f"{images}: has {len(pixels):,} images, {labels} has {len(values):,}")
    return pixels[:, None], values.astype(np.int64)


def _file(root: Path, split: str, kind: str) -> Path | None:
    """The idx file of a split: `train-images-idx3-ubyte`, with `.` for `-`, or with `.gz`."""
    for path in sorted(root.iterdir()):
        name = path.name.lower()
        is_of_split = any(name.startswith(mark) for mark in _MARKS[split])
        if is_of_split and kind in name and "idx" in name and name.endswith(("ubyte", ".gz")):
            return path
    return None


def _array(path: Path, dimensions: int) -> NDArray[np.uint8]:
    try:
        content = path.read_bytes()
        content = gzip.decompress(content) if path.suffix == ".gz" else content
        zero, kind, found = struct.unpack_from(">HBB", content)
        shape = struct.unpack_from(f">{dimensions}I", content, 4)
    except (OSError, EOFError, struct.error, zlib.error) as error:
        raise UserError(f"{path}: damaged ({error}); get it again") from error
    if (zero, kind, found) != (0, _UINT8, dimensions):
        raise UserError(f"{path}: no idx file of bytes with {dimensions} dimensions")
    values = np.frombuffer(content, np.uint8, offset=4 + 4 * dimensions)
    if values.size != np.prod(shape, dtype=np.int64):
        raise UserError(f"{path}: damaged, {values.size:,} bytes for the shape {shape}")
    return values.reshape(shape).copy()
