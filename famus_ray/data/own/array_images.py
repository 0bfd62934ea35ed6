"""Images and labels handed over in Python: how their values, axes and classes are read.

Pixels are uint8, or numbers in [0, 1]. Grey images may be (N, H, W). Else the axis of 1 to 4 values
is that of the channels: (N, H, W, channels) or (N, channels, H, W). What could be read in two ways
is refused.
"""

# Shapes: N images, H x W pixels.
from __future__ import annotations

from typing import Any

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from famus_ray.data.images import UNKNOWN, Images
from famus_ray.errors import UserError, first_line

__all__ = ["images_of", "pairs_of", "pixels_of"]

_MOST_CHANNELS = 4
_AS_SOURCE = "hand over a famus_ray.data.images.Source, whose pixels are (N, channels, H, W)"


def pairs_of(data: Any, what: str) -> tuple[Any, Any]:
    """Images and labels of a pair, or of a data set of torch whose items are pairs.

    Args:
        data: a tuple or list of two, or what has a length and items (image, label).
        what: `data`, `meta`, `validation` or `test`, for messages.

    Raises:
        UserError: it is neither, or its images differ in size.
    """
    if isinstance(data, tuple | list):
        if len(data) != 2:
            raise UserError(f"{what}: has {len(data)} parts, not two: (images, labels)")
        return data[0], data[1]
    if isinstance(data, pd.DataFrame):
        raise UserError(f"{what}: is a table; hand it over as data is, as (images, labels)")
    items = [data[place] for place in range(len(data))]
    if not items or any(not isinstance(item, tuple | list) or len(item) != 2 for item in items):
        raise UserError(f"{what}: the items of a data set must be pairs (image, label)")
    images = [np.asarray(image) for image, _ in items]
    shapes = sorted({image.shape for image in images})
    if len(shapes) > 1:
        raise UserError(
            f"{what}: has images of {len(shapes)} shapes, such as {shapes[0]} and {shapes[1]}; "
            "add a transform that makes them equal, or name the folder of the files instead"
        )
    labels = [label.item() if hasattr(label, "item") else label for _, label in items]
    return np.stack(images), labels


def images_of(pair: tuple[Any, Any], what: str, train: Images | None = None) -> Images:
    """Images and labels as they are kept: uint8 (N, channels, H, W), classes from 0.

    Classes are the labels that occur, in sorted order; numbers by their value. The true labels of
    training images are unknown; those of other splits are taken for true.

    Args:
        pair: images, labels; arrays of numpy, tensors or lists.
        what: `data`, `meta`, `validation` or `test`, for messages.
        train: the training images, for another split: its classes and shape are these.

    Raises:
        UserError: what cannot be read, or in two ways; the message says what to change.
    """
    pixels, labels = pixels_of(pair[0], what), _labels(pair[1], what)
    if len(pixels) != len(labels):
        raise UserError(f"{what}: {len(pixels):,} images, {len(labels):,} labels")
    if train is None:
        classes = np.unique(labels)
        if len(classes) < 2:
            raise UserError(f"{what}: all labels are {classes[0]}; there must be two classes")
        mean, std = _moments(pixels)
        names = tuple(str(name) for name in classes.tolist())
        truth = np.full(len(labels), UNKNOWN)
        numbered = np.searchsorted(classes, labels).astype(np.int64)
        return Images(pixels, numbered, len(names), mean, std, None, truth, names)
    assert isinstance(train.pixels, np.ndarray)
    assert train.class_names is not None
    if pixels.shape[1:] != train.pixels.shape[1:]:
        ours, theirs = ("x".join(map(str, p.shape[1:])) for p in (pixels, train.pixels))
        raise UserError(f"{what}: images of {ours} (channels, H, W), those of data are {theirs}")
    numbered = pd.Index(train.class_names).get_indexer(pd.Index([str(x) for x in labels.tolist()]))
    if (numbered < 0).any():
        strange = labels.tolist()[int((numbered < 0).argmax())]
        raise UserError(f"{what}: has the label {strange!r}, which data does not have")
    return Images(
        pixels, numbered.astype(np.int64), train.classes, train.mean, train.std, None, None,
        train.class_names,
    )  # fmt: skip


def _array(values: Any, what: str) -> NDArray[Any]:
    """An array of numpy; a tensor may be on any device."""
    if hasattr(values, "detach"):
        values = values.detach().cpu()
    try:
        return np.asarray(values)
    except ValueError as error:
        raise UserError(f"{what}: is no array ({first_line(error)})") from error


def pixels_of(values: Any, what: str) -> NDArray[np.uint8]:
    """Images as uint8 (N, channels, H, W).

    Raises:
        UserError: what cannot be read, or in two ways.
    """
    images = _array(values, what)
    if images.ndim == 3:
        images = images[:, None]
    elif images.ndim != 4:
        raise UserError(
            f"{what}: images of the shape {images.shape}; they must be (N, H, W), (N, H, W, "
            "channels) or (N, channels, H, W)"
        )
    else:
        first, last = (1 <= images.shape[axis] <= _MOST_CHANNELS for axis in (1, 3))
        if first == last:
            which = "each could" if first else "none can"
            raise UserError(
                f"{what}: images of the shape {images.shape}; of the axes 1 and 3 {which} be the "
                f"channels (1 to {_MOST_CHANNELS}); {_AS_SOURCE}"
            )
        images = images if first else np.moveaxis(images, 3, 1)
    if not images.size:
        raise UserError(f"{what}: images of the shape {images.shape}: there are none")
    return np.ascontiguousarray(_bytes(images, what))


def _bytes(images: NDArray[Any], what: str) -> NDArray[np.uint8]:
    """Values of 0 to 255: bytes as they are, fractions in [0, 1] scaled and rounded."""
    if images.dtype == np.uint8:
        return images
    kind = images.dtype
    if kind == np.bool_:
        return images.astype(np.uint8) * np.uint8(255)
    if kind.kind not in "iuf":
        raise UserError(f"{what}: images of {kind}; they must be uint8, or numbers in [0, 1]")
    low, high = float(images.min()), float(images.max())
    if kind.kind in "iu" and low >= 0 and high <= 255:
        return images.astype(np.uint8)
    if kind.kind == "f" and low >= 0 and high <= 1:  # a NaN is in no range
        return np.round(images * 255).astype(np.uint8)
    if low >= 0 and high <= 255:
        mend = "use images.astype('uint8') if they are from 0 to 255, or divide by their maximum"
    else:
        mend = "scale them to [0, 1]; images that were normalised are normalised here again"
    raise UserError(f"{what}: images of {kind} from {low:g} to {high:g}; {mend}")


def _labels(values: Any, what: str) -> NDArray[Any]:
    """Labels (N,): whole numbers, or strings."""
    labels = _array(values, what)
    if labels.ndim != 1:
        mend = "; of one-hot rows take labels.argmax(1)" if labels.ndim == 2 else ""
        raise UserError(f"{what}: labels of the shape {labels.shape}, not (N,){mend}")
    missing = pd.isna(labels)
    if missing.any():
        place = int(missing.argmax())
        raise UserError(f"{what}: the label at place {place} is missing; leave that image out")
    if labels.dtype.kind == "f" and (labels % 1 == 0).all():
        labels = labels.astype(np.int64)
    if labels.dtype.kind in "OSUb":
        labels = labels.astype(str) if labels.dtype.kind != "S" else np.char.decode(labels)
    elif labels.dtype.kind not in "iu":
        raise UserError(f"{what}: labels of {labels.dtype}; they must be whole numbers or strings")
    return labels


def _moments(pixels: NDArray[np.uint8]) -> tuple[tuple[float, ...], tuple[float, ...]]:
    """Mean and standard deviation of each channel of up to 10,000 images, on the scale [0, 1]."""
    some = pixels[:: max(1, len(pixels) // 10_000)].astype(np.float64) / 255
    means, stds = some.mean((0, 2, 3)), some.std((0, 2, 3))
    return tuple(means.tolist()), tuple(max(std, 1e-3) for std in stds.tolist())
