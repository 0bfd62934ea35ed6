"""Arrays of images and labels in a folder, as NumPy's .npy files.

train-images.npy    uint8 (N, channels, H, W)       classes.json    names, mean, std
train-labels.npy    int64 (N,)                      and the same of test, validation and meta
train-truth.npy     int64 (N,), -1 where unknown; none where the labels are the truth
"""

# Shapes: N images, H x W pixels.
from __future__ import annotations

import hashlib
import json
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from famus_ray.data.images import Images
from famus_ray.errors import UserError, first_line
from famus_ray.files import replaced, write_json

__all__ = ["fingerprint", "holds_arrays", "read_arrays", "write_arrays"]

_SPLITS = ("train", "test", "validation", "meta")


def holds_arrays(root: Path) -> bool:
    """Whether the folder `root` holds training images that `write_arrays` wrote."""
    return _file(root, "train", "images").is_file()


def read_arrays(root: Path) -> dict[str, Images]:
    """The images by split: train, and those of test, validation and meta that are there.

    Pixels stay on disk until they are used, and processes share them.

    Raises:
        UserError: a missing or damaged file.
    """
    about = root / "classes.json"
    try:
        classes = json.loads(about.read_text(encoding="utf-8"))
        names, mean, std = (tuple(classes[key]) for key in ("names", "mean", "std"))
    except (OSError, ValueError, KeyError, TypeError) as error:
        raise UserError(f"{about}: damaged ({first_line(error)})") from error
    splits = {}
    for split in _SPLITS:
        if not _file(root, split, "images").is_file():
            continue
        has_truth = _file(root, split, "truth").is_file()
        truth = _load(root, split, "truth", np.int64, 1) if has_truth else None
        pixels = _load(root, split, "images", np.uint8, 4)
        labels = _load(root, split, "labels", np.int64, 1)
        if len(labels) != len(pixels) or not (labels >= 0).all() or labels.max() >= len(names):
            raise UserError(f"{_file(root, split, 'labels')}: does not fit images and classes")
        splits[split] = Images(pixels, labels, len(names), mean, std, None, truth, names)
    return splits


def write_arrays(root: Path, splits: Mapping[str, Images]) -> None:
    """Writes the images of each split, `train` last: a folder with it is complete."""
    train = splits["train"]
    names = train.class_names or tuple(map(str, range(train.classes)))
    write_json(root / "classes.json", {"names": names, "mean": train.mean, "std": train.std})
    for split in sorted(splits, key=lambda split: split == "train"):
        images = splits[split]
        assert isinstance(images.pixels, np.ndarray)
        parts = {"labels": images.labels, "truth": images.true_labels, "images": images.pixels}
        for part, array in parts.items():
            if array is not None:
                with replaced(_file(root, split, part)) as path, path.open("wb") as file:
                    np.save(file, array, allow_pickle=False)


def fingerprint(splits: Mapping[str, Images]) -> str:
    """SHA-256 of the splits' arrays and the classes' names, the first 16 hexadecimal digits."""
    digest = hashlib.sha256(repr(splits["train"].class_names).encode())
    for split, images in sorted(splits.items()):
        for array in (images.pixels, images.labels, images.truth):
            assert isinstance(array, np.ndarray)
            digest.update(f"{split}{array.dtype}{array.shape}".encode())
            digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()[:16]


def _file(root: Path, split: str, part: str) -> Path:
    return root / f"{split}-{part}.npy"


def _load(root: Path, split: str, part: str, kind: type, dimensions: int) -> NDArray[Any]:
    path = _file(root, split, part)
    try:
        array: NDArray[Any] = np.load(
            path, mmap_mode="r" if part == "images" else None, allow_pickle=False
        )
    except (OSError, ValueError, EOFError) as error:
        raise UserError(f"{path}: cannot be read ({first_line(error)})") from error
    if array.dtype != kind or array.ndim != dimensions:
        raise UserError(f"{path}: {array.dtype} with {array.ndim} dimensions, not the arrays kept")
    return array
