"""Labels that a person has checked, taken back in from a table of paths and labels."""

# Shapes: N images, R rows.
from __future__ import annotations

from dataclasses import dataclass, replace
from pathlib import Path

import numpy as np
import pandas as pd
from numpy.typing import NDArray

from famus_ray.data.images import Images, Paths, Source
from famus_ray.data.own.csv_text import read_csv_text
from famus_ray.data.own.label_cells import refuse_missing
from famus_ray.data.own.rows import Rows
from famus_ray.errors import UserError, did_you_mean

__all__ = ["Corrections", "corrected", "read_corrections"]

_APOSTROPHE = r"^'(?=[=+\-@\t\r])"
_ENDINGS = (".csv", ".tsv")


@dataclass(frozen=True)
class Corrections:
    """The rows of a table of corrections.

    Attributes:
        rows: the table.
        names: the paths (R,), with slashes.
        is_marked: bool (R,), the rows that a person has looked at, changed or not.
    """

    rows: Rows
    names: pd.Series[str]
    is_marked: NDArray[np.bool_]


def read_corrections(table: Path) -> Corrections:
    """The rows of a table of corrections.

    Raises:
        UserError: no such table, no columns of paths and labels, or a row without one.
    """
    if table.suffix.lower() not in _ENDINGS or not table.is_file():
        what = "no such file" if not table.exists() else "must be a .csv or .tsv file"
        raise UserError(f"labels = {table}: {what}")
    rows = read_csv_text(table)
    refuse_missing(rows)
    cells = rows.cells
    for column in ("path", "label"):  # an apostrophe that `--to` put before what looks a formula
        cells = cells.assign(**{column: cells[column].str.replace(_APOSTROPHE, "", regex=True)})
    rows = replace(rows, cells=cells)
    marks = cells["checked"].notna() if "checked" in cells else pd.Series(True, cells.index)
    return Corrections(rows, cells["path"].str.replace("\\", "/"), marks.to_numpy(bool))


def corrected(source: Source, table: Path) -> Source:
    """The data set with the labels of a table of corrections in its training and test images.

    Of a table with a column `checked`, the marked and the changed rows count as checked; of
    another table every row. The true label of a checked image is known.

    Raises:
        UserError: images without files, or a path or a class that the data do not have.
    """
    found = read_corrections(table)
    train, in_train = _applied(source.train, found)
    test, in_test = _applied(source.test, found)
    nowhere = ~(in_train | in_test)
    if nowhere.any():
        row = int(nowhere.argmax())
        raise UserError(
            f"{found.rows.where(row)}: {found.names.iloc[row]!r} is none of the training or test "
            f"images ({int(nowhere.sum()):,} rows are not); paths are those of `famus-ray labels "
            "--to`, under data.root"
        )
    return replace(source, train=train, test=test)


def _applied(images: Images, found: Corrections) -> tuple[Images, NDArray[np.bool_]]:
    """The images with their corrections, and which rows (R,) are about one of them."""
    if not isinstance(images.pixels, Paths) or images.class_names is None:
        raise UserError("labels: corrections are for data in image files with names of classes")
    places = pd.Index(images.pixels.names.to_pandas()).get_indexer(
        pd.Index(found.names.str.removeprefix(f"{images.pixels.root}/"))
    )
    is_here = places >= 0
    labels_R = _numbered(found, images.class_names)
    is_changed = is_here & (labels_R != images.labels[places])
    is_checked = is_changed | (is_here & found.is_marked)
    places, labels_R = places[is_checked], labels_R[is_checked]
    labels, truth = images.labels.copy(), images.truth.copy()
    labels[places] = truth[places] = labels_R
    checked = np.zeros(len(labels), bool)
    checked[places] = True
    return replace(images, labels=labels, true_labels=truth, checked=checked), is_here


def _numbered(found: Corrections, classes: tuple[str, ...]) -> NDArray[np.int64]:
    names = found.rows.cells["label"]
    labels: NDArray[np.int64] = pd.Index(classes).get_indexer(pd.Index(names)).astype(np.int64)
    if (labels < 0).any():
        row = int((labels < 0).argmax())
        name = str(names.iloc[row])
        raise UserError(
            f"{found.rows.where(row)}: {name!r} is not one of the {len(classes)} classes"
            f"{did_you_mean(name, classes)}"
        )
    return labels
