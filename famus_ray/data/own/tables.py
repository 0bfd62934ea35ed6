"""A user's own images: a folder for each class, or tables of paths.

train/<class>/<image>     test/<class>/<image>      and optionally validation/, meta/
train.csv                 test.csv                  the same as tables, CSV or Parquet, with
                                                    columns path, label[, clean_label]
"""

from __future__ import annotations

from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from famus_ray.data.images import IMAGENET_MEAN, IMAGENET_STD, UNKNOWN, Images, Paths, Source
from famus_ray.data.listings import class_folders, list_files, names
from famus_ray.data.own.table_listing import list_tables
from famus_ray.errors import UserError, first_line

__all__ = ["list_tables", "read_folders", "read_tables"]


def read_folders(root: Path) -> Source:
    """Images in `train/<class>/` and `test/<class>/` (or `val/` if there is no folder `test`).

    Raises:
        UserError: a missing folder, or a class that the training set does not have.
    """
    if not (root / "train").is_dir():
        raise UserError(f"{root}: holds no train/ with a folder for each class")
    classes = class_folders(root / "train")
    test = "test" if (root / "test").is_dir() else "val"
    own = ("validation", "val") if test == "test" else ("validation",)
    validation = next((name for name in own if (root / name).is_dir()), None)

    def images(folder: str, clean: bool) -> Images:
        if not (root / folder).is_dir():
            raise UserError(f"{root}: holds no test/ (or val/) with a folder for each class")
        strange = sorted(set(class_folders(root / folder)) - set(classes))
        if strange:
            raise UserError(f"{root / folder}: class {strange[0]} is not in {root / 'train'}")
        files, labels = list_files(root, folder, classes)
        truth = None if clean else np.full(len(labels), UNKNOWN)
        return _images(Paths(root, files), labels, len(classes), truth)

    return Source(
        train=images("train", clean=False),
        test=images(test, clean=True),
        validation=images(validation, clean=True) if validation else None,
        meta=images("meta", clean=True) if (root / "meta").is_dir() else None,
    )


def read_tables(root: Path) -> Source:
    """Images listed in `train.csv` and `test.csv` (or .parquet), with paths relative to `root`.

    Labels are whole numbers from 0, or names, which are numbered in sorted order.

    Raises:
        UserError: a missing table or column, or a label that the training set does not have.
    """
    frames = {
        split: _table(root, split)
        for split in ("train", "test", "validation", "meta")
        if split in ("train", "test") or _table_path(root, split) is not None
    }
    classes = _class_names(frames["train"])

    def images(split: str, clean: bool) -> Images:
        frame = frames[split]
        labels = _numbered(frame["label"], classes, root, split)
        truth = None if clean else np.full(len(labels), UNKNOWN)
        if "clean_label" in frame:
            known = frame["clean_label"].notna().to_numpy()
            truth = np.full(len(labels), UNKNOWN)
            truth[known] = _numbered(frame["clean_label"][known], classes, root, split)
        files = Paths(root, names(frame.rename(columns={"path": "name"})))
        return _images(files, labels, len(classes), truth)

    return Source(
        train=images("train", clean=False),
        test=images("test", clean=True),
        validation=images("validation", clean=True) if "validation" in frames else None,
        meta=images("meta", clean=True) if "meta" in frames else None,
    )


def _images(
    files: Paths, labels: np.ndarray, classes: int, truth: np.ndarray | None
) -> Images:  # fmt: skip
    return Images(files, labels, classes, IMAGENET_MEAN, IMAGENET_STD, true_labels=truth)


def _table_path(root: Path, split: str) -> Path | None:
    found = (root / f"{split}{ending}" for ending in (".parquet", ".csv"))
    return next((path for path in found if path.is_file()), None)


def _table(root: Path, split: str) -> pd.DataFrame:
    path = _table_path(root, split)
    if path is None:
        raise UserError(f"{root}: holds no {split}.csv or {split}.parquet")
    try:
        frame = pd.read_parquet(path) if path.suffix == ".parquet" else pd.read_csv(path)
    except (ValueError, OSError) as error:  # errors of the parsers of pandas and Arrow
        raise UserError(f"{path}: cannot be read ({first_line(error)})") from error
    missing = {"path", "label"} - set(frame)
    if missing or frame[["path", "label"]].isna().to_numpy().any():
        what = f"no column {sorted(missing)[0]}" if missing else "a row without path or label"
        raise UserError(f"{path}: {what}; it must have path, label and may have clean_label")
    return frame


def _class_names(train: pd.DataFrame) -> list[object]:
    labels = train["label"]
    if pd.api.types.is_integer_dtype(labels):
        clean = pd.to_numeric(train.get("clean_label", labels), errors="coerce").max()
        return list(range(int(max(labels.max(), clean)) + 1))
    return sorted({*labels, *train.get("clean_label", labels).dropna()})


def _numbered(
    values: pd.Series[Any], classes: list[object], root: Path, split: str
) -> np.ndarray:  # fmt: skip
    found = pd.Index(classes).get_indexer(pd.Index(values))
    if (found < 0).any():
        strange = values.iloc[int((found < 0).argmax())]
        raise UserError(f"{root}: {split}: label {strange} is not one of {root / 'train'}'s")
    labels: np.ndarray = found.astype(np.int64)
    return labels
