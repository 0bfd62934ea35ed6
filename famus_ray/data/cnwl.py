"""CNWL, Controlled Noisy Web Labels on Mini-ImageNet (Jiang et al. 2020), in two folder layouts.

split/red_noise_nl_0.4, split/clean_validation     lines of `<image> <label>`
training_s32/red_noise_nl_0.4/<label>/<image>      with validation_s32/<label>/<image>
all_images/<image>                                 with validation/<label>/<image>
"""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from famus_ray.data.images import IMAGENET_MEAN, IMAGENET_STD, UNKNOWN, Images, Paths, Source
from famus_ray.data.listings import names, read_listing
from famus_ray.errors import UserError

__all__ = ["CNWL_CLASSES", "CNWL_LEVELS", "read_cnwl"]

CNWL_CLASSES = 100
CNWL_LEVELS = (0.0, 0.2, 0.4, 0.6, 0.8)


def read_cnwl(root: Path, colour: str, level: float) -> Source:
    """The training images of one colour and noise level; the clean validation images are the test.

    Args:
        root: folder of the data set.
        colour: red (web images) or blue (redrawn labels).
        level: 0.0, 0.2, 0.4, 0.6 or 0.8.

    Raises:
        UserError: a missing or damaged list, or missing image folders.
    """
    split = f"{colour}_noise_nl_{level:.1f}"
    if not np.isclose(level, CNWL_LEVELS).any():
        raise UserError(
            f"data.noise_level = {level}: must be one of {', '.join(map(str, CNWL_LEVELS))}"
        )
    train = read_listing(root / "split" / split, CNWL_CLASSES)
    test = read_listing(root / "split" / "clean_validation", CNWL_CLASSES)
    sized = sorted(root.glob("training_s*"))
    if (root / "all_images").is_dir():
        train_names, validation = "all_images/" + train["name"], "validation"
    elif sized:
        train_names = _in_classes(f"{sized[0].name}/{split}", train)
        validation = sized[0].name.replace("training", "validation")
    else:
        raise UserError(f"{root}: holds neither all_images/ nor training_s32/{split}/")
    return Source(
        _images(root, train, train_names, np.full(len(train), UNKNOWN)),
        _images(root, test, _in_classes(validation, test), None),
    )


def _in_classes(folder: str, listing: pd.DataFrame) -> pd.Series[str]:
    return f"{folder}/" + listing["label"].astype(str) + "/" + listing["name"]


def _images(
    root: Path, listing: pd.DataFrame, paths: pd.Series[str], truth: np.ndarray | None
) -> Images:
    labels = listing["label"].to_numpy()
    files = Paths(root, names(paths.to_frame("name")))
    return Images(files, labels, CNWL_CLASSES, IMAGENET_MEAN, IMAGENET_STD, true_labels=truth)
