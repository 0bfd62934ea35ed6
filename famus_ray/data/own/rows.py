"""The rows of a table before they are checked: text as the file has it."""

# Shapes: N rows.
from __future__ import annotations

from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
from numpy.typing import NDArray

__all__ = ["Part", "Rows"]


@dataclass(frozen=True)
class Part:
    """The rows that one file gave.

    Attributes:
        file: its path.
        numbers: of the rows, as a person counts them: lines of a text file, the header being the
            first; in Parquet rows from 1.
    """

    file: Path
    numbers: NDArray[np.int64]


@dataclass(frozen=True)
class Rows:
    """The N rows of a table of one or several files.

    Attributes:
        origin: the table's path, for messages.
        folder: where relative paths start.
        cells: text columns path, label and, if the table has them, clean_label and checked;
            missing where the cell is empty.
        parts: the files in the order of their rows.
        contents: the encoded images, an Arrow array of large_binary; None if path names files.
        class_names: the classes in the table's own order; None if it gives none.
        notes: what the user should know about the reading, each without the file's name.
    """

    origin: str
    folder: Path
    cells: pd.DataFrame
    parts: tuple[Part, ...]
    contents: pa.Array | None = None
    class_names: tuple[str, ...] | None = None
    notes: tuple[str, ...] = field(default=())

    def __len__(self) -> int:
        return len(self.cells)

    def where(self, place: int) -> str:
        """The file and number of a row, as messages begin: `/x/train.csv: row 4`."""
        for part in self.parts:
            if place < len(part.numbers):
                return f"{part.file}: row {part.numbers[place]}"
            place -= len(part.numbers)
        raise IndexError(place)
