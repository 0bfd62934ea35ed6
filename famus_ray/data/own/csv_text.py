"""Tables as text: CSV as spreadsheets, databases and people write it."""

# Shapes: N rows.
from __future__ import annotations

import codecs
import csv
import gzip
import io
import re
import zlib
from collections.abc import Iterator
from contextlib import suppress
from itertools import islice
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa

from famus_ray.data.own.columns import (
    Columns,
    choose_columns,
    is_column_name,
    names_path_and_label,
)
from famus_ray.data.own.rows import Part, Rows
from famus_ray.errors import UserError, first_line

__all__ = ["read_csv_text"]

_DELIMITERS = {",": "commas", ";": "semicolons", "\t": "tabs", "|": "pipes"}
_SAMPLE = 50
_PATH_LIKE = re.compile(
    r"[/\\]|\.(jpe?g|jfif|png|gif|webp|bmp|tiff?|avif|p[bgnp]m)$", re.IGNORECASE
)
_MARKS = (
    (codecs.BOM_UTF8, "utf-8-sig"),
    (codecs.BOM_UTF32_LE, "utf-32"),  # begins as UTF-16's does
    (codecs.BOM_UTF32_BE, "utf-32"),
    (codecs.BOM_UTF16_LE, "utf-16"),
    (codecs.BOM_UTF16_BE, "utf-16"),
)


def read_csv_text(path: Path) -> Rows:
    """The rows of a CSV or TSV file, plain or packed by gzip.

    The delimiter is a comma, semicolon, tab or pipe, found from the first rows. The text is UTF-8,
    or UTF-16 or UTF-32 with its mark. Every cell stays as it is written: `NA` and `001` are text.

    Raises:
        UserError: a file that is not such a table, with the row where it is known.
    """
    text = _text(path)
    delimiter = _delimiter(text, path)
    records = _records(text, delimiter, path)
    _, first = next(records, (0, [""]))
    if not any(first):
        raise UserError(f"{path}: is empty; it must have a header path,label and a row an image")
    columns, has_header = _header(first, path)
    if not has_header:
        records = _records(text, delimiter, path)
    numbers, cells = _rows(records, columns, len(first), path, delimiter)
    if not numbers:
        raise UserError(f"{path}: has a header and no rows; it must list one image a row")
    return Rows(
        origin=str(path),
        folder=path.parent,
        cells=cells,
        parts=(Part(path, np.array(numbers, np.int64)),),
        notes=columns.notes,
    )


def _text(path: Path) -> str:
    """The decoded text of a file, without a byte-order mark."""
    try:
        data = path.read_bytes()
        if data.startswith(b"\x1f\x8b"):
            data = gzip.decompress(data)
    except (OSError, EOFError, zlib.error) as error:
        raise UserError(f"{path}: cannot be read ({first_line(error)})") from error
    encoding = next((name for mark, name in _MARKS if data.startswith(mark)), "utf-8")
    try:
        text = data.decode(encoding)
    except UnicodeDecodeError as error:
        row = data[: error.start].count(b"\n") + 1
        raise UserError(
            f"{path}: row {row}: is not {encoding.upper()} text "
            f"(byte {data[error.start]:#04x}); save the table as CSV in UTF-8"
        ) from error
    if "\0" in text:
        row = text[: text.index("\0")].count("\n") + 1
        raise UserError(f"{path}: row {row}: holds a zero byte; it is not a CSV file")
    return text


def _records(text: str, delimiter: str, path: Path) -> Iterator[tuple[int, list[str]]]:
    """The records that are not blank, each with the number of its first line."""
    lines = io.StringIO(text, newline=None)  # ends of lines of any system
    reader = csv.reader(lines, delimiter=delimiter, skipinitialspace=True, strict=True)
    while True:
        number = reader.line_num + 1
        try:
            cells = next(reader)
        except StopIteration:
            return
        except csv.Error as error:
            what = first_line(error).replace("unexpected end of data", "a quote is never closed")
            raise UserError(f"{path}: row {number}: {what}; mend its quotes") from error
        if len(cells) > 1 or any(cells):
            if number == 1 and cells[0].casefold().startswith("sep="):
                continue  # a line by which spreadsheets tell each other the delimiter
            yield number, cells


def _delimiter(text: str, path: Path) -> str:
    """The delimiter that gives columns for path and label, or rows with a path, in this order."""

    def merit(delimiter: str) -> tuple[bool, int, int, bool]:
        rows: list[list[str]] = []
        with suppress(UserError):  # a broken row is told when its table is read
            rows.extend(cells for _, cells in islice(_records(text, delimiter, path), _SAMPLE))
        if not rows:
            return False, 0, 0, False
        even = [row for row in rows if len(row) == len(rows[0]) > 1]
        with_path = sum(any(_PATH_LIKE.search(cell) for cell in row) for row in even)
        tabs = delimiter == "\t" and ".tsv" in path.name.casefold()
        return names_path_and_label(rows[0]), with_path, len(even), tabs

    return max(_DELIMITERS, key=merit)


def _header(first: list[str], path: Path) -> tuple[Columns, bool]:
    """The columns by the first row, and whether it is a header."""
    if (
        names_path_and_label(first)
        or not _PATH_LIKE.search(first[0])
        or any(map(is_column_name, first))
    ):
        return choose_columns(first, path), True
    if len(first) != 2:
        raise UserError(
            f"{path}: has no header, and {len(first)} columns in row 1, which begins "
            f"{first[0]!r}; write one above it that names the columns path and label"
        )
    notes = ("has no header: reads its columns as path and label",)
    return Columns(0, 1, None, notes=notes), False


def _rows(
    records: Iterator[tuple[int, list[str]]],
    columns: Columns,
    width: int,
    path: Path,
    delimiter: str,
) -> tuple[list[int], pd.DataFrame]:
    """The numbers of the rows, and their cells as columns path, label[, clean_label][, checked]."""
    places = {"path": columns.path, "label": columns.label}
    if columns.clean is not None:
        places["clean_label"] = columns.clean
    if columns.checked is not None:
        places["checked"] = columns.checked
    numbers: list[int] = []
    kept: dict[str, list[str | None]] = {name: [] for name in places}
    for number, cells in records:
        if any(cells[width:]):
            raise UserError(
                f"{path}: row {number}: has {len(cells)} cells, the first row {width} (cells are "
                f"separated by {_DELIMITERS[delimiter]}); quote a cell that holds one"
            )
        numbers.append(number)
        for name, place in places.items():
            cell = cells[place] if place < len(cells) else ""
            kept[name].append(cell if cell.strip() else None)
    frame = pa.table({name: pa.array(cells, pa.large_string()) for name, cells in kept.items()})
    return numbers, frame.to_pandas()
