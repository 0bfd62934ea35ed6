"""Synthetic data in the layouts of real data sets, to try a preset without the real data.

Each class is a pattern of colours that a network can learn. In the noisy sets a fifth of the
labels are redrawn at random.
"""

# Shapes: N examples, C classes, S pixels per side.
from __future__ import annotations

import os
import pickle
import shutil
from collections.abc import Callable
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from famus_ray.data.clothing1m import CLOTHING_CLASSES
from famus_ray.data.cnwl import CNWL_CLASSES, CNWL_LEVELS
from famus_ray.data.webvision import MINI_CLASSES, WEBVISION_CLASSES
from famus_ray.errors import UserError
from famus_ray.files import NotWritten

__all__ = ["MAKERS", "make"]

Labels = NDArray[np.int64]

_WRONG = 0.2


def make(name: str, root: Path, images: int = 200, size: int = 32, seed: int = 0) -> None:
    """Writes synthetic data in the layout of `name` into a new folder `root`.

    Args:
        name: of a data set.
        root: a folder that does not exist or is empty.
        images: number of training images; other splits have half as many.
        size: shorter side of the images in pixels; CIFAR always has 32.
        seed: of images and labels.

    Raises:
        UserError: an unknown name, or a folder that is not empty.
        NotWritten: an error of the system, such as a full disk; no files are left behind.
    """
    if name not in MAKERS:
        raise UserError(f"{name}: no such data set; there are {', '.join(MAKERS)}")
    if root.exists() and (not root.is_dir() or any(root.iterdir())):
        raise UserError(f"{root}: there already, and not empty; choose another folder")
    whole = root.with_name(f".{root.name}.{os.getpid()}.tmp")  # renamed when it is complete
    try:
        whole.mkdir(parents=True)
        MAKERS[name](_Painter(whole, size, seed), images)
        whole.replace(root)
    except OSError as error:
        raise NotWritten(error.errno, error.strerror or str(error), str(root)) from error
    finally:
        shutil.rmtree(whole, ignore_errors=True)


class _Painter:
    """Draws images of classes and writes them to files."""

    def __init__(self, root: Path, size: int, seed: int) -> None:
        self.root = root
        self.size = size
        self.rng = np.random.default_rng(seed)

    def pixels(self, labels_N: Labels, size: int | None = None) -> NDArray[np.uint8]:
        """uint8 images (N, 3, S, S): a pattern of 3 x 3 colours per class, plus noise."""
        size = size or self.size
        colours = np.random.default_rng(0).integers(30, 226, (WEBVISION_CLASSES, 3, 3, 3))
        cells = np.arange(size) * 3 // size
        plain = colours[labels_N][:, :, cells[:, None], cells]
        noise = self.rng.normal(0, 15, plain.shape)
        return np.clip(plain + noise, 0, 255).astype(np.uint8)

    def jpegs(self, names: list[str], labels: Labels) -> None:
        """Writes one JPEG per name, a quarter wider than high like a photograph."""
        from PIL import Image

        for name, image in zip(names, self.pixels(labels), strict=True):
            path = self.root / name
            path.parent.mkdir(parents=True, exist_ok=True)
            wide = np.concatenate([image, image[:, :, : self.size // 4]], axis=2)
            Image.fromarray(wide.transpose(1, 2, 0)).save(path, quality=95, subsampling=0)

    def labels(self, count: int, classes: int) -> Labels:
        """Labels (count,) with equal class sizes, in random order."""
        return self.rng.permutation(np.arange(count) % classes)

    def noisy(self, labels: Labels, classes: int, rate: float = _WRONG) -> Labels:
        redrawn = self.rng.random(len(labels)) < rate
        return np.where(redrawn, self.rng.integers(0, classes, len(labels)), labels)

    def listing(self, path: str, *columns: list[str] | Labels) -> None:
        """Writes a text file with a line for each image."""
        (self.root / path).parent.mkdir(parents=True, exist_ok=True)
        rows = zip(*columns, strict=True)
        (self.root / path).write_text("".join(" ".join(map(str, row)) + "\n" for row in rows))


def _cifar(painter: _Painter, images: int, classes: int) -> None:
    folder = painter.root / ("cifar-10-batches-py" if classes == 10 else "cifar-100-python")
    folder.mkdir()
    labels = painter.labels(images // 5 * 5, classes)
    tests = painter.labels(images // 2, classes)
    files = {"train": labels, "test": tests}
    if classes == 10:
        parts = zip(range(1, 6), np.split(labels, 5), strict=True)
        files = {**{f"data_batch_{i}": part for i, part in parts}, "test_batch": tests}
    for name, part in files.items():
        entries: dict[str, object] = {"data": painter.pixels(part, 32).reshape(len(part), -1)}
        if classes == 10:
            entries["labels"] = part.tolist()
        else:
            entries |= {"fine_labels": part.tolist(), "coarse_labels": (part // 5).tolist()}
        (folder / name).write_bytes(pickle.dumps(entries, protocol=2))
    columns = ["noisy_label"]
    if classes == 10:
        columns = ["aggre_label", "worse_label", *(f"random_label{i}" for i in (1, 2, 3))]
    human = {"clean_label": labels, **{c: painter.noisy(labels, classes) for c in columns}}
    torch.save(human, painter.root / f"CIFAR-{classes}_human.pt")


def _cnwl(painter: _Painter, images: int, colour: str) -> None:
    true = painter.labels(images, CNWL_CLASSES)
    tests = painter.labels(max(images // 2, CNWL_CLASSES), CNWL_CLASSES)
    names = [f"n{i:05d}.jpg" for i in range(images)]
    test_names = [f"v{i:05d}.jpg" for i in range(len(tests))]
    painter.listing("split/clean_validation", test_names, tests)
    painter.jpegs(_in_classes("validation", tests, test_names), tests)
    painter.jpegs([f"all_images/{name}" for name in names], true)
    for level in CNWL_LEVELS:
        labels = painter.noisy(true, CNWL_CLASSES, level)
        painter.listing(f"split/{colour}_noise_nl_{level:.1f}", names, labels)


def _webvision(painter: _Painter, images: int, classes: int) -> None:
    synsets = [f"n{10_000_000 + 7 * label:08d}" for label in range(WEBVISION_CLASSES)]
    painter.listing("info/synsets.txt", synsets, ["made_up"] * WEBVISION_CLASSES)
    for part in ("google",) if classes == MINI_CLASSES else ("google", "flickr"):
        labels = painter.labels(images, classes)
        names = [f"{part}/q{y:04d}/{i:06d}.jpg" for i, y in enumerate(labels.tolist())]
        painter.jpegs(names, painter.noisy(labels, classes))
        painter.listing(f"info/train_filelist_{part}.txt", names, labels)
    tests = painter.labels(max(images // 2, classes), classes)
    names = [f"val{i:06d}.jpg" for i in range(len(tests))]
    painter.listing("info/val_filelist.txt", names, tests)
    painter.jpegs([f"val_images_256/{name}" for name in names], tests)
    by_synset = [f"imagenet/val/{synsets[y]}/{i}.jpg" for i, y in enumerate(tests.tolist())]
    painter.jpegs(by_synset, tests)


def _clothing1m(painter: _Painter, images: int) -> None:
    clean: dict[str, int] = {}
    for split, count in (("noisy_train", images), *((f"clean_{s}", images // 2) for s in _CLEAN)):
        labels = painter.labels(count, CLOTHING_CLASSES)
        names = [f"images/{i % 10}/{split}{i:05d}.jpg" for i in range(count)]
        painter.jpegs(names, labels)
        painter.listing(f"{split}_key_list.txt", names)
        if split == "noisy_train":
            noisy = painter.noisy(labels, CLOTHING_CLASSES)
            painter.listing("noisy_label_kv.txt", names, noisy)
        else:
            clean |= dict(zip(names, labels.tolist(), strict=True))
    painter.listing("clean_label_kv.txt", list(clean), np.array(list(clean.values())))


def _folders(painter: _Painter, images: int) -> None:
    for split, count in (("train", images), ("test", images // 2)):
        true = painter.labels(count, len(_THINGS))
        given = painter.noisy(true, len(_THINGS)) if split == "train" else true
        names = [f"{split}/{_THINGS[y]}/{i:05d}.jpg" for i, y in enumerate(given.tolist())]
        painter.jpegs(names, true)


def _tables(painter: _Painter, images: int) -> None:
    for split, count in (("train", images), ("test", images // 2)):
        true = painter.labels(count, len(_THINGS))
        names = [f"images/{split}{i:05d}.jpg" for i in range(count)]
        painter.jpegs(names, true)
        given = painter.noisy(true, len(_THINGS)) if split == "train" else true
        things = np.array(_THINGS)
        frame = pd.DataFrame({"path": names, "label": things[given], "clean_label": things[true]})
        frame.to_csv(painter.root / f"{split}.csv", index=False)


def _in_classes(folder: str, labels: Labels, names: list[str]) -> list[str]:
    return [f"{folder}/{y}/{name}" for y, name in zip(labels.tolist(), names, strict=True)]


_CLEAN = ("train", "val", "test")
_THINGS = ("apple", "bell", "cup", "drum")

MAKERS: dict[str, Callable[[_Painter, int], None]] = {
    "cifar10": lambda painter, images: _cifar(painter, images, 10),
    "cifar100": lambda painter, images: _cifar(painter, images, 100),
    "cnwl_red": lambda painter, images: _cnwl(painter, images, "red"),
    "cnwl_blue": lambda painter, images: _cnwl(painter, images, "blue"),
    "webvision_mini": lambda painter, images: _webvision(painter, images, MINI_CLASSES),
    "webvision": lambda painter, images: _webvision(painter, images, WEBVISION_CLASSES),
    "clothing1m": _clothing1m,
    "folders": _folders,
    "tables": _tables,
}
