"""Labels from a file: CIFAR-N's human labels, or a JSON list in the format of DivideMix."""

# Shapes: N training images.
from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import numpy as np
from numpy.typing import NDArray

from famus_ray.errors import UserError, first_line

__all__ = ["read_label_file"]


def read_label_file(
    path: Path, column: str | None, true_labels_N: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    """The labels (N,) in a file, one for each training image in the data set's own order.

    Args:
        path: a file of CIFAR-N, or a JSON list.
        column: name of the labels in a file with several; else None.
        true_labels_N: of the data set, to check that the file belongs to it.
        classes: labels are in [0, classes).

    Raises:
        UserError: a file that is missing, damaged, or for another number or order of images.
    """
    if not path.is_file():
        raise UserError(f"noise.file = {path}: no such file")
    content = _json(path) if path.suffix == ".json" else _torch(path)
    if isinstance(content, dict):
        if "clean_label" in content:
            clean = _labels(path, content["clean_label"], true_labels_N, classes)
            if not np.array_equal(clean, true_labels_N):
                raise UserError(
                    f"noise.file = {path}: its clean_label are not the labels of the data set; "
                    "it is for another data set or order of the images"
                )
        if column not in content:
            raise UserError(
                f"noise.column = {column}: {path} has {', '.join(sorted(map(str, content)))}"
            )
        content = content[column]
    elif column is not None:
        raise UserError(f"noise.column = {column}: {path} is one list of labels; leave it out")
    return _labels(path, content, true_labels_N, classes)


def _labels(
    path: Path, values: Any, true_labels_N: NDArray[np.int64], classes: int
) -> NDArray[np.int64]:
    labels = np.asarray(values)
    if labels.shape != true_labels_N.shape:
        raise UserError(
            f"noise.file = {path}: {len(labels) if labels.ndim else 0} labels, "
            f"the data set has {len(true_labels_N)} training images"
        )
    if labels.dtype.kind not in "iu" or labels.min() < 0 or labels.max() >= classes:
        raise UserError(f"noise.file = {path}: labels must be whole numbers 0 to {classes - 1}")
    return labels.astype(np.int64)


def _json(path: Path) -> Any:
    try:
        return json.loads(path.read_text(encoding="utf-8"))
    except ValueError as error:
        raise UserError(f"noise.file = {path}: not JSON ({first_line(error)})") from error


def _torch(path: Path) -> Any:
    """NumPy arrays by name; nothing else is unpickled."""
    import torch

    reconstruct = np.empty(0).__reduce__()[0]
    arrays: list[Any] = [np.ndarray, np.dtype, np.dtypes.Int64DType]
    arrays += [(reconstruct, f"numpy.{core}.multiarray._reconstruct") for core in ("core", "_core")]
    try:
        with torch.serialization.safe_globals(arrays):
            return torch.load(path, map_location="cpu", weights_only=True)
    except Exception as error:  # damaged and hostile files raise errors of many types
        raise UserError(
            f"noise.file = {path}: not a label file of CIFAR-N: damaged, or it holds "
            "something else than arrays of whole numbers"
        ) from error
