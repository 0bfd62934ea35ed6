"""Data sets by name: read, split and corrupted, as tensors."""

# Shapes: N examples, H x W pixels.
from __future__ import annotations

import hashlib
from collections.abc import Mapping
from dataclasses import dataclass, field, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from famus_ray.config.schema import DataConfig, NoiseConfig
from famus_ray.data.augment import normalise
from famus_ray.data.damaged import DamagedImages, readable, tell_left_out
from famus_ray.data.decode import NotAnImage
from famus_ray.data.held_out import at_most, hold_out
from famus_ray.data.image_files import ImageFiles
from famus_ray.data.images import UNKNOWN, Images, Paths, channel_statistics
from famus_ray.data.label_files import read_label_file
from famus_ray.data.long_tail import long_tail
from famus_ray.data.noise import corrupt
from famus_ray.data.readers import read_source
from famus_ray.errors import UserError

__all__ = ["Dataset", "Split", "load_dataset"]

_Chosen = tuple[Images, NDArray[np.int64], NDArray[np.int64]]
"""Images, the labels of all of them, and the indices of those in a split."""


@dataclass(frozen=True)
class Split:
    """Some examples of a data set, on one device or on disk.

    Attributes:
        pixels: uint8 (N, channels, H, W).
        labels: int64 (N,), used in training.
        true_labels: int64 (N,), before corruption, -1 where unknown.
        ids: int64 (N,), the index in the data set's own training or test order; of arrays of
            which the test set was split off the index in the whole arrays.
    """

    pixels: Tensor | ImageFiles
    labels: Tensor
    true_labels: Tensor
    ids: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def __getitem__(self, places: Tensor) -> Split:
        """The examples at `places`, in that order."""
        index = places.to(self.labels.device)
        return Split(
            self.pixels[index], self.labels[index], self.true_labels[index], self.ids[index]
        )

    def to(self, device: torch.device) -> Split:
        """The split on `device`; images on disk will be loaded to it."""
        tensors = (self.labels, self.true_labels, self.ids)
        return Split(self.pixels.to(device), *(tensor.to(device) for tensor in tensors))


@dataclass(frozen=True)
class Dataset:
    """A data set of four disjoint splits; only the labels of `train` are corrupted.

    Attributes:
        name: of the data set.
        classes: number of classes.
        train: the training set.
        meta: the clean meta set; may be empty.
        validation: the validation set; may be empty.
        test: the test set.
        mean: channel means on the scale [0, 1], for normalisation.
        std: channel standard deviations on that scale.
        fingerprint: SHA-256 of pixels (or their files' names), labels and split, hexadecimal.
        more_tests: further test sets by name, such as `imagenet` of WebVision.
        files: its image files, by the data set's own splits; empty if it has none.
        left_out: the number of damaged image files that were left out, by the data set's own
            splits; empty if none was (`data.damaged`).
        class_names: a name for each class, in the order of the labels; None without names.
    """

    name: str
    classes: int
    train: Split
    meta: Split
    validation: Split
    test: Split
    mean: tuple[float, ...]
    std: tuple[float, ...]
    fingerprint: str
    more_tests: Mapping[str, Split] = field(default_factory=dict)
    files: Mapping[str, Paths] = field(default_factory=dict)
    left_out: Mapping[str, int] = field(default_factory=dict)
    class_names: tuple[str, ...] | None = None

    @property
    def channels(self) -> int:
        return self.train.pixels.shape[1]

    def to(self, device: torch.device) -> Dataset:
        """The data set on `device`."""
        splits = {n: getattr(self, n).to(device) for n in ("train", "meta", "validation", "test")}
        more = {name: split.to(device) for name, split in self.more_tests.items()}
        return replace(self, **splits, more_tests=more)


def load_dataset(data: DataConfig, noise: NoiseConfig, seed: int) -> Dataset:
    """The data set of a config, split and corrupted.

    Validation and meta examples are taken from each class of the training set before the
    corruption, so they are as clean as the published data. Where true labels are unknown and
    noise is drawn, the labels before it are taken as the true ones. If the data set has validation
    or meta examples of its own, these are used instead. The test set is the data set's own.

    Args:
        data, noise: sections of the config.
        seed: of the split, and of the noise unless `noise.seed` is set.

    Raises:
        UserError: data missing or damaged, or too few examples of a class.
    """
    source = read_source(data)
    if noise.kind not in ("none", "file"):
        source = replace(source, train=_taken_as_true(source.train))
    train, parts = source.train, source.splits
    mean, std = channel_statistics(train, data.channels, data.name)
    kept = readable(parts, data)
    rng = np.random.default_rng([seed, 0x73706C69])
    fraction = data.validation_fraction if source.validation is None else 0.0
    per_class = data.meta_per_class if source.meta is None else 0
    validation, meta, rest = hold_out(train, kept["train"], fraction, per_class, data.name, rng)
    rest = rest[long_tail(train.labels[rest], train.classes, data.imbalance, seed)]
    noisy = train.labels.copy()
    noisy[rest] = _corrupted(train, rest, noise, data.name, seed)
    chosen = {"validation": _clean(train, validation), "meta": _clean(train, meta)}
    chosen |= {name: _clean(images, kept[name]) for name, images in parts.items()}
    if source.meta is not None:
        few = at_most(source.meta, kept["meta"], data.meta_per_class, rng)
        chosen["meta"] = _clean(source.meta, few)
    chosen["train"] = (train, noisy, rest)
    splits = _read(chosen, data)
    left_out = tell_left_out(parts, kept)
    return Dataset(
        name=data.name,
        classes=train.classes,
        **{name: splits.pop(name) for name in ("train", "meta", "validation", "test")},
        mean=mean,
        std=std,
        fingerprint=_fingerprint(
            train.pixels, noisy, validation, meta, source.test.pixels,
            *(kept.values() if left_out else ()),
        ),
        more_tests=splits,
        files={n: i.pixels for n, i in parts.items() if isinstance(i.pixels, Paths)},
        left_out=left_out,
        class_names=train.class_names,
    )  # fmt: skip


def _taken_as_true(images: Images) -> Images:
    """The images with their labels as the true ones where these are unknown."""
    truth = np.where(images.truth == UNKNOWN, images.labels, images.truth)
    return replace(images, true_labels=truth)


def _corrupted(
    train: Images, rest: NDArray[np.int64], noise: NoiseConfig, name: str, seed: int
) -> NDArray[np.int64]:
    """Noisy labels of the training examples `rest`."""
    if noise.kind == "file":
        assert noise.file is not None
        path = Path(noise.file)
        return read_label_file(path, noise.column, train.labels, train.classes)[rest]

    def inputs() -> NDArray[np.float32]:
        if isinstance(train.pixels, Paths):
            raise UserError(f"noise.kind = instance: {name} is read from image files; not for them")
        pixels = normalise(torch.from_numpy(train.pixels[rest]), train.mean, train.std)
        flat: NDArray[np.float32] = pixels.flatten(1).numpy()
        return flat

    noise_seed = seed if noise.seed is None else noise.seed
    labels = train.labels[rest]
    return corrupt(labels, train.classes, noise, noise_seed, name, train.superclass_of, inputs)


def _clean(images: Images, ids: NDArray[np.int64]) -> _Chosen:
    """Examples with the true labels where these are known."""
    labels = np.where(images.truth == UNKNOWN, images.labels, images.truth)
    return images, labels, ids


def _read(chosen: Mapping[str, _Chosen], data: DataConfig) -> dict[str, Split]:
    """The splits by name.

    Raises:
        DamagedImages: image files of any split that cannot be read; it names them all.
    """
    splits: dict[str, Split] = {}
    damaged: list[NotAnImage] = []
    for name, (images, labels, ids) in chosen.items():
        try:
            splits[name] = _take(images, labels, data, ids)
        except DamagedImages as error:
            damaged += error.found
    if damaged:
        raise DamagedImages(damaged, data.root)
    return splits


def _take(
    images: Images, labels: NDArray[np.int64], data: DataConfig, ids: NDArray[np.int64]
) -> Split:
    pixels: Tensor | ImageFiles
    if isinstance(images.pixels, Paths):
        pixels = ImageFiles(images.pixels[ids], data)
        pixels = pixels if data.storage == "disk" else pixels.read_all()
    else:
        pixels = torch.from_numpy(images.pixels[ids])
    places = ids if images.places is None else images.places[ids]
    arrays = (labels[ids], images.truth[ids], places)
    return Split(pixels, *(torch.from_numpy(array) for array in arrays))


def _fingerprint(*parts: NDArray[np.generic] | Paths) -> str:
    digest = hashlib.sha256()
    for part in parts:
        if isinstance(part, Paths):
            digest.update("\n".join(part.names.to_pylist()).encode())
            continue
        digest.update(f"{part.dtype}{part.shape}".encode())
        digest.update(np.ascontiguousarray(part).data)
    return digest.hexdigest()
