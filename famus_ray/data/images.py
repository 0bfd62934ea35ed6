"""The result of a reader: images and their labels, in memory or as paths."""

# Shapes: N examples.
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from famus_ray.data.shards.ranges import Ranges
from famus_ray.errors import UserError

__all__ = [
    "IMAGENET_MEAN", "IMAGENET_STD", "UNKNOWN", "Images", "Paths", "Source", "channel_statistics",
]  # fmt: skip

UNKNOWN = -1
"""The true label of an example whose label nobody has checked."""

IMAGENET_MEAN = (0.485, 0.456, 0.406)
IMAGENET_STD = (0.229, 0.224, 0.225)

_LUMA = (0.299, 0.587, 0.114)  # ITU-R 601, as Pillow turns colours grey


@dataclass(frozen=True)
class Paths:
    """N image files: their names under a folder, as an Arrow array of strings.

    Attributes:
        root: the folder, or the file whose rows hold the images.
        names: under `root`.
        contents: the encoded images, as an Arrow array of binary or as ranges of bytes in large
            files; None for files on disk.
    """

    root: Path
    names: pa.Array
    contents: pa.Array | Ranges | None = None

    def __len__(self) -> int:
        return len(self.names)

    def __getitem__(self, index: NDArray[np.int64]) -> Paths:
        chosen = pa.array(index)
        contents = None if self.contents is None else self.contents.take(chosen)
        return Paths(self.root, self.names.take(chosen), contents)

    def path(self, place: int) -> Path:
        """The path of an image; for messages only if it is not a file of its own."""
        name: str = self.names[place].as_py()
        return self.root / name

    def encoded(self, place: int) -> Path | bytes:
        """The file of an image, or its encoded bytes."""
        if self.contents is None:
            return self.path(place)
        if isinstance(self.contents, Ranges):
            return self.contents.read(place)
        content: bytes = self.contents[place].as_py()
        return content


@dataclass(frozen=True)
class Images:
    """N images with their labels.

    Attributes:
        pixels: uint8 (N, channels, H, W), or paths of image files.
        labels: int64 (N,), in [0, classes).
        classes: number of classes.
        mean: of each channel, on the scale [0, 1].
        std: of each channel, on the same scale.
        superclass_of: int64 (classes,) for data sets with a hierarchy, else None.
        true_labels: int64 (N,), -1 where unknown; None if `labels` are the true labels.
        class_names: a name for each class, in the order of the labels; None without names.
        checked: bool (N,), whose labels a person has checked; None if nobody has.
        places: int64 (N,), of arrays of which some were split off the places in the whole arrays;
            None for 0 to N - 1.
    """

    pixels: NDArray[np.uint8] | Paths
    labels: NDArray[np.int64]
    classes: int
    mean: tuple[float, ...]
    std: tuple[float, ...]
    superclass_of: NDArray[np.int64] | None = None
    true_labels: NDArray[np.int64] | None = None
    class_names: tuple[str, ...] | None = None
    checked: NDArray[np.bool_] | None = None
    places: NDArray[np.int64] | None = None

    @property
    def truth(self) -> NDArray[np.int64]:
        """The true labels (N,), -1 where unknown."""
        return self.labels if self.true_labels is None else self.true_labels


@dataclass(frozen=True)
class Source:
    """A data set as published, with its own splits.

    Attributes:
        train: training images; validation and meta set are split off them if missing here.
        test: test images.
        validation: the data set's own, if it has one.
        meta: the data set's own clean examples for the meta set, if it has some.
        more_tests: further test sets by name.
    """

    train: Images
    test: Images
    validation: Images | None = None
    meta: Images | None = None
    more_tests: Mapping[str, Images] = field(default_factory=dict)

    @property
    def splits(self) -> dict[str, Images]:
        """The splits that there are, by name."""
        parts = {
            "train": self.train, "validation": self.validation, "meta": self.meta,
            "test": self.test, **self.more_tests,
        }  # fmt: skip
        return {name: images for name, images in parts.items() if images is not None}


def channel_statistics(
    images: Images, channels: int, name: str
) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """The mean and deviation of each of the `channels` that are read, on the scale [0, 1].

    Grey has the luma of the colours' statistics: exact for the mean, and the deviation where all
    colours go up and down together, which is its upper bound (ImageNet: 0.459 and 0.226).

    Args:
        images: of a data set.
        channels: 1 or 3; arrays have channels of their own.
        name: of the data set, for messages.

    Raises:
        UserError: one channel was asked for, and the images are arrays of more.
    """
    mean, std = images.mean, images.std
    if not isinstance(images.pixels, Paths):
        if channels == 1 != images.pixels.shape[1]:
            raise UserError(
                f"data.channels = 1: {name} gives arrays of {images.pixels.shape[1]} channels, and "
                "only images from files are turned grey; leave it out"
            )
        return mean, std
    if len(mean) == 3 and channels == 1:
        return (float(np.dot(_LUMA, mean)),), (float(np.dot(_LUMA, std)),)
    return (3 * mean, 3 * std) if len(mean) < channels else (mean, std)
