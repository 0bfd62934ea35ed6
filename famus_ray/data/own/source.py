"""A user's data as a data set: classes numbered, a test set split off, corrections applied."""

# Shapes: N images, C classes.
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from famus_ray.config.schema import DataConfig
from famus_ray.data.images import IMAGENET_MEAN, IMAGENET_STD, UNKNOWN, Images, Source
from famus_ray.data.own.arrays import holds_arrays, read_arrays
from famus_ray.data.own.corrections import corrected
from famus_ray.data.own.idx import read_idx
from famus_ray.data.own.layout import list_own
from famus_ray.data.own.listing import Listing, OwnData
from famus_ray.data.own.spelling import joined
from famus_ray.data.shards.manifest import holds_shards
from famus_ray.data.shards.read import read_shards
from famus_ray.errors import UserError

__all__ = ["as_source", "read_own", "split_off", "to_source"]

_SPLIT_SEED = 0x74657374  # the test set is the same for every seed of a run


def read_own(root: Path, data: DataConfig) -> Source:
    """The user's data in a folder or a table.

    Raises:
        UserError: no layout that is known, or mistakes in the files.
    """
    source = as_source(list_own(root, data.name), root, data)
    return source if data.corrections is None else corrected(source, Path(data.corrections))


def as_source(own: OwnData | None, root: Path, data: DataConfig) -> Source:
    """The data as `layout.list_own` found them, before corrections.

    Raises:
        UserError: mistakes in the files, or no test images.
    """
    if own is None and holds_shards(root):
        return read_shards(str(root))
    if own is None:
        splits = read_arrays(root) if holds_arrays(root) else read_idx(root)
        return to_source(splits, data.test_fraction, str(root))
    images = _of_listings(_joined(own) if data.join_labels else own)
    return to_source(images, data.test_fraction, own.splits["train"].origin)


def to_source(splits: Mapping[str, Images], test_fraction: float, origin: str) -> Source:
    """Images by split as a data set; without a split `test` it is split off by class.

    Args:
        splits: train, and test, validation and meta where they exist.
        test_fraction: share of each class that is split off.
        origin: of the training images, for messages.

    Raises:
        UserError: no test images.
    """
    train, test = splits["train"], splits.get("test")
    if test is None:
        train, test = split_off(train, test_fraction, origin)
    return Source(train, test, splits.get("validation"), splits.get("meta"))


def _of_listings(own: OwnData) -> dict[str, Images]:
    """The listings as images.

    The true labels of training images are unknown unless the listing gives them; those of
    validation, meta and test images of their own are taken for true.

    Raises:
        UserError: a class that the training set does not have.
    """
    classes = _class_names(own)
    return {split: _images(part, classes, split) for split, part in own.splits.items()}


def split_off(images: Images, fraction: float, origin: str) -> tuple[Images, Images]:
    """The images without, and with only, a share of each class, drawn at random.

    The draw depends on the images alone, not on the run's seed: runs with other seeds have the
    same test set.

    Raises:
        UserError: no class has enough images to leave one for the test.
    """
    rng = np.random.default_rng([_SPLIT_SEED, len(images.labels)])
    in_test = np.zeros(len(images.labels), bool)
    for label in range(images.classes):
        members = rng.permutation(np.flatnonzero(images.labels == label))
        in_test[members[: round(fraction * len(members))]] = True
    if not in_test.any() or in_test.all():
        raise UserError(
            f"{origin}: has no test images, and data.test_fraction = {fraction:g} of "
            f"{len(in_test):,} images leaves {'none' if not in_test.any() else 'no others'}; "
            "give it a test folder or table, or set another data.test_fraction, such as 0.2"
        )
    return _some(images, ~in_test), _some(images, in_test)


def _joined(own: OwnData) -> OwnData:
    """The data with class names that look alike joined under the most common spelling."""
    columns = [part.labels for part in own.splits.values()]
    columns += [part.clean for part in own.splits.values() if part.clean is not None]
    every = pd.concat(columns).dropna()
    to = dict(zip(every, joined(every), strict=True))
    splits = {
        split: replace(
            part,
            labels=part.labels.map(to),
            clean=None if part.clean is None else part.clean.map(to, na_action="ignore"),
        )
        for split, part in own.splits.items()
    }
    return replace(own, splits=splits, class_names=None)


def _class_names(own: OwnData) -> tuple[str, ...]:
    if own.class_names is not None:
        return own.class_names
    train = own.splits["train"]
    occurring = set(train.labels) | (set() if train.clean is None else set(train.clean.dropna()))
    if all(_is_number(name) for name in occurring):
        return tuple(sorted(occurring, key=lambda name: (int(name), name)))
    return tuple(sorted(occurring))


def _is_number(name: str) -> bool:
    return name.isascii() and name.removeprefix("-").isdigit()


def _images(part: Listing, classes: tuple[str, ...], split: str) -> Images:
    labels = _numbered(part.labels, classes, part.origin)
    truth = np.full(len(labels), UNKNOWN) if split == "train" else None
    if part.clean is not None:
        truth = np.full(len(labels), UNKNOWN)
        known = part.clean.notna().to_numpy()
        truth[known] = _numbered(part.clean[known], classes, part.origin)
    return Images(
        part.files, labels, len(classes), IMAGENET_MEAN, IMAGENET_STD, None, truth, classes
    )


def _numbered(
    names: pd.Series[str], classes: tuple[str, ...], origin: str
) -> NDArray[np.int64]:  # fmt: skip
    found: NDArray[np.int64] = pd.Index(classes).get_indexer(pd.Index(names)).astype(np.int64)
    if (found < 0).any():
        strange = names.iloc[int((found < 0).argmax())]
        raise UserError(
            f"{origin}: has the class {strange!r} ({int((names == strange).sum()):,} images), the "
            "training set does not; take these images out, or add some to the training set"
        )
    return found


def _some(images: Images, chosen: NDArray[np.bool_]) -> Images:
    """Some of the images, in their own order."""
    places = np.flatnonzero(chosen)
    truth = None if images.true_labels is None else images.true_labels[places]
    return replace(
        images,
        pixels=images.pixels[places],
        labels=images.labels[places],
        true_labels=truth,
        places=places if isinstance(images.pixels, np.ndarray) else None,
    )
