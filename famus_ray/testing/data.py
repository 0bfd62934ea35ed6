"""A check of the contract of data set readers."""

# Shapes: N examples.
from __future__ import annotations

import numpy as np

from famus_ray.config.resolve import resolve
from famus_ray.data.images import UNKNOWN, Images, Paths
from famus_ray.data.readers import read_source

__all__ = ["check_reader"]


def check_reader(*settings: str) -> None:
    """Checks that a reader returns valid data in the same order every time.

    The order matters: splits, noise and lists of wrong labels refer to examples by their index.

    Args:
        settings: `section.key=value`, such as `data.name=mine.birds:read`.
    """
    data = resolve(None, settings).config.data
    source, again = read_source(data), read_source(data)
    further = {"validation": source.validation, "meta": source.meta, **source.more_tests}
    given = {name: images for name, images in further.items() if images is not None}
    for name, images in {"train": source.train, "test": source.test, **given}.items():
        _check_images(name, images)
        assert images.classes == source.train.classes, f"{name}: another number of classes"
    for name in ("train", "test"):
        first, second = getattr(source, name), getattr(again, name)
        assert np.array_equal(first.labels, second.labels), f"{name}: another order when read again"
    missing = set(range(source.train.classes)) - set(source.train.truth.tolist())
    assert not missing, f"train: has no example of class {', '.join(map(str, sorted(missing)))}"


def _check_images(name: str, images: Images) -> None:
    pixels, labels = images.pixels, images.labels
    assert len(pixels) == len(labels) > 0, f"{name}: {len(pixels)} images, {len(labels)} labels"
    assert labels.dtype == np.int64, f"{name}: labels are {labels.dtype}, not int64"
    outside = (labels < 0) | (labels >= images.classes)
    assert not outside.any(), f"{name}: labels outside of [0, {images.classes})"
    truth = images.truth
    assert truth.shape == labels.shape, f"{name}: {len(truth)} true labels, {len(labels)} labels"
    known = truth[truth != UNKNOWN]
    assert ((known >= 0) & (known < images.classes)).all(), f"{name}: true labels out of range"
    channels = 3
    if not isinstance(pixels, Paths):
        assert pixels.dtype == np.uint8, f"{name}: pixels are {pixels.dtype}, not uint8"
        assert pixels.ndim == 4, f"{name}: pixels of shape {pixels.shape}, not (N, C, H, W)"
        channels = pixels.shape[1]
    for statistic in ("mean", "std"):
        found = len(getattr(images, statistic))
        assert found == channels, f"{name}: {statistic} of {found} channels, images have {channels}"
    assert min(images.std) > 0, f"{name}: a standard deviation of 0"
