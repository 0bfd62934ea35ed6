"""Clothing1M (Xiao et al. 2015): a million shop images with noisy labels, three clean splits.

noisy_label_kv.txt, clean_label_kv.txt              `images/... <label>`
{noisy_train,clean_train,clean_val,clean_test}_key_list.txt     `images/...`
"""

from __future__ import annotations

from pathlib import Path

import numpy as np

from famus_ray.data.images import UNKNOWN, Images, Paths, Source
from famus_ray.data.listings import names, read_listing
from famus_ray.errors import UserError

__all__ = ["CLOTHING_CLASSES", "read_clothing1m"]

CLOTHING_CLASSES = 14
_MEAN = (0.6959, 0.6537, 0.6371)
_STD = (0.3113, 0.3192, 0.3214)


def read_clothing1m(root: Path) -> Source:
    """Clothing1M: noisy training images; clean validation and test images and meta set.

    Raises:
        UserError: a missing or damaged list, or an image without a label.
    """
    return Source(
        train=_images(root, "noisy", "noisy_train"),
        test=_images(root, "clean", "clean_test"),
        validation=_images(root, "clean", "clean_val"),
        meta=_images(root, "clean", "clean_train"),
    )


def _images(root: Path, kind: str, split: str) -> Images:
    keys = read_listing(root / f"{split}_key_list.txt", None)
    table = root / f"{kind}_label_kv.txt"
    known = read_listing(table, CLOTHING_CLASSES).drop_duplicates("name")
    listing = keys.merge(known, on="name", how="left")
    without = listing["label"].isna()
    if without.any():
        first = listing["name"][without].iloc[0]
        raise UserError(f"{table}: no label for {without.sum()} images of {split}, such as {first}")
    labels = listing["label"].to_numpy(dtype=np.int64)
    truth = np.full(len(labels), UNKNOWN) if kind == "noisy" else None
    files = Paths(root, names(listing))
    return Images(files, labels, CLOTHING_CLASSES, _MEAN, _STD, true_labels=truth)
