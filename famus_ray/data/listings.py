"""Text files that list images, one per line, as `path label` or `path`."""

# Shapes: N images.
from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

from famus_ray.errors import UserError, first_line

__all__ = ["class_folders", "list_files", "names", "read_listing"]

IMAGE_ENDINGS = (".jpg", ".jpeg", ".png", ".gif", ".webp")


def read_listing(path: Path, classes: int | None) -> pd.DataFrame:
    """Columns `name` and `label` (int64) of a listing; only `name` if `classes` is None.

    Args:
        path: the text file.
        classes: labels are in [0, classes); None for a list without labels.

    Raises:
        UserError: a missing file or a malformed line.
    """
    if not path.is_file():
        raise UserError(f"{path}: missing; it lists the images of the data set")
    columns = ["name"] if classes is None else ["name", "label"]
    try:
        frame = pd.read_csv(path, sep=" ", header=None, quoting=3, dtype="str")
    except (ValueError, OSError) as error:  # pandas' parser errors are ValueErrors
        raise UserError(f"{path}: cannot be read ({first_line(error)})") from error
    frame = frame.dropna(axis="columns", how="all")
    if frame.shape[1] != len(columns):
        raise UserError(f"{path}: a line must be `{' '.join(columns)}`")
    frame.columns = pd.Index(columns)
    if classes is not None:
        labels = pd.to_numeric(frame["label"], errors="coerce")
        wrong = ~(labels.between(0, classes - 1) & (labels % 1 == 0))
        if wrong.any():
            line = int(wrong.to_numpy().argmax())
            raise UserError(
                f"{path}: line {line + 1}: label {frame['label'].iloc[line]} is not a whole number "
                f"from 0 to {classes - 1}"
            )
        frame["label"] = labels.astype("int64")
    return frame


def class_folders(folder: Path) -> list[str]:
    """The sorted names of the folders in `folder`; sorted by number if all are numbers."""
    found = [entry.name for entry in folder.iterdir() if entry.is_dir()]
    is_numbered = all(name.isascii() and name.isdigit() for name in found)
    return sorted(found, key=int) if is_numbered else sorted(found)


def list_files(root: Path, folder: str, classes: list[str]) -> tuple[pa.Array, NDArray[np.int64]]:
    """The images `folder/<class>/<image>` in sorted order: names under `root`, and labels (N,).

    Args:
        root: folder of the data set.
        folder: under the root, with a folder for each class.
        classes: names of the classes' folders, in the order of the labels.

    Raises:
        UserError: no images.
    """
    found, labels = [], []
    for label, name in enumerate(classes):
        place = root / folder / name
        if not place.is_dir():
            continue
        files = sorted(e.name for e in place.iterdir() if e.suffix.lower() in IMAGE_ENDINGS)
        found += [f"{folder}/{name}/{file}" for file in files]
        labels.append(np.full(len(files), label))
    if not found:
        raise UserError(f"{root / folder}: no images in its folders, one a class")
    return pa.array(found), np.concatenate(labels).astype(np.int64)


def names(frame: pd.DataFrame, prefix: str = "") -> pa.Array:
    """The names of a listing as Arrow strings, each with `prefix` in front."""
    return pa.array(prefix + frame["name"], type=pa.large_string())
