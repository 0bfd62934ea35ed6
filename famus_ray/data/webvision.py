"""WebVision 1.0 (Li et al. 2017), full or mini, with the validation set of ILSVRC12.

info/train_filelist_google.txt, info/train_filelist_flickr.txt    `<path> <label>`
info/val_filelist.txt            `<image> <label>`, images in val_images_256/
info/synsets.txt                 one synset per line, in the order of the labels
imagenet/val/<synset or label>/<image>      ILSVRC12, optional (or a link to it)
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from famus_ray.data.images import IMAGENET_MEAN, IMAGENET_STD, UNKNOWN, Images, Paths, Source
from famus_ray.data.listings import class_folders, list_files, names, read_listing
from famus_ray.errors import UserError

__all__ = ["MINI_CLASSES", "WEBVISION_CLASSES", "read_webvision"]

WEBVISION_CLASSES = 1000
MINI_CLASSES = 50


def read_webvision(root: Path, *, mini: bool) -> Source:
    """WebVision with web images for training and its validation set as test set.

    The validation set of ILSVRC12, if present, is the further test set `imagenet`.

    Args:
        root: folder of the data set.
        mini: only the first 50 classes of the Google part.

    Raises:
        UserError: a missing or damaged list.
    """
    classes = MINI_CLASSES if mini else WEBVISION_CLASSES
    parts = ["google"] if mini else ["google", "flickr"]
    listings = [
        read_listing(root / "info" / f"train_filelist_{part}.txt", WEBVISION_CLASSES)
        for part in parts
    ]
    train = pd.concat(listings, ignore_index=True)
    test = read_listing(root / "info" / "val_filelist.txt", WEBVISION_CLASSES)
    imagenet = root / "imagenet" / "val"
    return Source(
        _images(root, train, "", classes, known=False),
        _images(root, test, "val_images_256/", classes, known=True),
        more_tests={"imagenet": _imagenet(root, classes)} if imagenet.is_dir() else {},
    )


def _images(root: Path, listing: pd.DataFrame, prefix: str, classes: int, known: bool) -> Images:
    listing = listing[listing["label"] < classes]
    labels = listing["label"].to_numpy()
    truth = None if known else np.full(len(labels), UNKNOWN)
    files = Paths(root, names(listing, prefix))
    return Images(files, labels, classes, IMAGENET_MEAN, IMAGENET_STD, true_labels=truth)


def _imagenet(root: Path, classes: int) -> Images:
    folder = root / "imagenet" / "val"
    found = class_folders(folder)
    if all(name.isdigit() for name in found):
        order = [str(label) for label in range(classes)]
    else:
        synsets = read_synsets(root / "info" / "synsets.txt")
        order = synsets[:classes]
    missing = sorted(set(order) - set(found))
    if missing:
        raise UserError(f"{folder}: no folder for {len(missing)} classes, such as {missing[0]}")
    files, labels = list_files(root, "imagenet/val", order)
    return Images(Paths(root, files), labels, classes, IMAGENET_MEAN, IMAGENET_STD)


def read_synsets(path: Path) -> list[str]:
    """The synsets in the order of the labels: the first word of each line.

    Raises:
        UserError: the file is missing.
    """
    if not path.is_file():
        raise UserError(f"{path}: missing; it gives the order of the classes")
    lines = path.read_text(encoding="utf-8").splitlines()
    return [line.split()[0] for line in lines if line.strip()]
