"""Data sets by name: read, split, corrupted, and ready as tensors."""

# Shapes: N examples, H x W pixels.
from __future__ import annotations

import hashlib
from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import torch
from numpy.typing import NDArray
from torch import Tensor

from famus_ray.config.schema import DataConfig, NoiseConfig
from famus_ray.data.augment import normalise
from famus_ray.data.cifar import read_cifar10, read_cifar100
from famus_ray.data.digits import read_digits
from famus_ray.data.images import Images
from famus_ray.data.label_files import read_label_file
from famus_ray.data.long_tail import long_tail
from famus_ray.data.noise import corrupt
from famus_ray.errors import UserError

__all__ = ["Dataset", "Split", "load_dataset"]


@dataclass(frozen=True)
class Split:
    """Some examples of a data set, on one device.

    Attributes:
        pixels: uint8 (N, channels, H, W).
        labels: int64 (N,), as training sees them.
        true_labels: int64 (N,), before corruption.
        ids: int64 (N,), the place in the data set's own training or test order.
    """

    pixels: Tensor
    labels: Tensor
    true_labels: Tensor
    ids: Tensor

    def __len__(self) -> int:
        return len(self.labels)

    def to(self, device: torch.device) -> Split:
        """The same examples on `device`."""
        tensors = (self.pixels, self.labels, self.true_labels, self.ids)
        return Split(*(tensor.to(device) for tensor in tensors))


@dataclass(frozen=True)
class Dataset:
    """Four disjoint splits. Only `train` has corrupted labels; `meta` is small and clean.

    Attributes:
        mean: channel means on the scale [0, 1], for normalisation.
        std: channel standard deviations on that scale.
        fingerprint: SHA-256 of pixels, labels and split, hexadecimal.
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

    @property
    def channels(self) -> int:
        return self.train.pixels.shape[1]

    def to(self, device: torch.device) -> Dataset:
        """The same data on `device`."""
        splits = ("train", "meta", "validation", "test")
        return replace(self, **{name: getattr(self, name).to(device) for name in splits})


def load_dataset(data: DataConfig, noise: NoiseConfig, seed: int) -> Dataset:
    """The data set of a config, split and corrupted as it says.

    Validation and meta examples leave the training set class by class before the
    corruption, so both are clean; the test set is the data set's own.

    Args:
        seed: of the split, and of the noise unless `noise.seed` is set.

    Raises:
        UserError: data missing or damaged, or too few examples of a class.
    """
    train, test = _read(data)
    rng = np.random.default_rng([seed, 0x73706C69])
    validation, meta, rest = _split(train.labels, train.classes, data, rng)
    rest = rest[long_tail(train.labels[rest], train.classes, data.imbalance, seed)]
    noisy = train.labels.copy()
    noisy[rest] = _corrupted(train, rest, noise, data.name, seed)
    return Dataset(
        name=data.name,
        classes=train.classes,
        train=_take(train, noisy, rest),
        meta=_take(train, train.labels, meta),
        validation=_take(train, train.labels, validation),
        test=_take(test, test.labels, np.arange(len(test.labels))),
        mean=train.mean,
        std=train.std,
        fingerprint=_fingerprint(train.pixels, noisy, validation, meta, test.pixels),
    )


def _read(data: DataConfig) -> tuple[Images, Images]:
    if data.name == "digits":
        return read_digits()
    if data.root is None:
        raise UserError(f"data.root: {data.name} is read from a folder; set data.root=FOLDER")
    root = Path(data.root).expanduser()
    return read_cifar10(root) if data.name == "cifar10" else read_cifar100(root)


def _split(
    labels: NDArray[np.int64], classes: int, data: DataConfig, rng: np.random.Generator
) -> tuple[NDArray[np.int64], NDArray[np.int64], NDArray[np.int64]]:
    validation, meta, rest = [], [], []
    for label in range(classes):
        members = rng.permutation(np.flatnonzero(labels == label))
        held_out = round(data.validation_fraction * len(members))
        used = held_out + data.meta_per_class
        if used >= len(members):
            raise UserError(
                f"data.meta_per_class = {data.meta_per_class}: class {label} of {data.name} has "
                f"{len(members)} training examples, {held_out} of them for validation"
            )
        validation.append(members[:held_out])
        meta.append(members[held_out:used])
        rest.append(members[used:])
    v, m, r = (np.sort(np.concatenate(part)) for part in (validation, meta, rest))
    return v, m, r


def _corrupted(
    train: Images, rest: NDArray[np.int64], noise: NoiseConfig, name: str, seed: int
) -> NDArray[np.int64]:
    """Noisy labels of the training examples `rest`."""
    if noise.kind == "file":
        assert noise.file is not None
        path = Path(noise.file)
        return read_label_file(path, noise.column, train.labels, train.classes)[rest]

    def inputs() -> NDArray[np.float32]:
        pixels = normalise(torch.from_numpy(train.pixels[rest]), train.mean, train.std)
        flat: NDArray[np.float32] = pixels.flatten(1).numpy()
        return flat

    noise_seed = seed if noise.seed is None else noise.seed
    labels = train.labels[rest]
    return corrupt(labels, train.classes, noise, noise_seed, name, train.superclass_of, inputs)


def _take(images: Images, labels: NDArray[np.int64], ids: NDArray[np.int64]) -> Split:
    return Split(
        torch.from_numpy(images.pixels[ids]),
        torch.from_numpy(labels[ids]),
        torch.from_numpy(images.labels[ids]),
        torch.from_numpy(ids),
    )


def _fingerprint(*arrays: NDArray[np.generic]) -> str:
    digest = hashlib.sha256()
    for array in arrays:
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(np.ascontiguousarray(array).data)
    return digest.hexdigest()
