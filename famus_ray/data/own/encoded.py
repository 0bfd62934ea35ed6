"""The rows of a table whose images lie in the table itself."""

# Shapes: N rows.
from __future__ import annotations

from dataclasses import replace

import pandas as pd
import pyarrow as pa

from famus_ray.data.own.rows import Rows
from famus_ray.errors import UserError

__all__ = ["with_images"]


def with_images(rows: Rows, held: pa.Array) -> Rows:
    """The rows with their encoded images as contents, each with a name of its own.

    The names are the paths in the table, or the rows' numbers where paths are missing or repeat.

    Args:
        rows: their path is missing where the table gives the image none.
        held: the N encoded images, null where there is none. If all are, the paths name files.

    Raises:
        UserError: a row without an image between others that have one.
    """
    absent = held.is_null().to_numpy(zero_copy_only=False)
    if absent.all():
        return rows
    paths = rows.cells["path"]
    if absent.any():
        first = int(absent.argmax())
        path = paths.iloc[first]
        shown = "" if pd.isna(path) else f", its path is {path!r}"
        raise UserError(
            f"{rows.where(first)}: no bytes of an image{shown} ({absent.sum():,} of {len(rows):,} "
            "rows); put the images of all rows into the table, or of none"
        )
    numbers = [f"row {number}" for part in rows.parts for number in part.numbers]
    if len(rows.parts) > 1:
        files = [part.file.name for part in rows.parts for _ in part.numbers]
        numbers = [f"{file} {number}" for file, number in zip(files, numbers, strict=True)]
    by_row = pd.Series(numbers, rows.cells.index, dtype=paths.dtype)
    repeated = paths.dropna().duplicated().any()
    names = by_row if repeated else paths.where(paths.notna(), by_row)
    note = ("names its images by row: their paths repeat",) if repeated else ()
    cells = rows.cells.assign(path=names)
    return replace(rows, cells=cells, contents=held, notes=(*rows.notes, *note))
