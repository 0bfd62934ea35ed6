"""Frames written to files that people and programs open: CSV, Parquet, JSON, Markdown, LaTeX."""

from __future__ import annotations

import json
import re
from pathlib import Path

import pandas as pd

from famus_ray.files import replaced, write_text
from famus_ray.reading.columns import about
from famus_ray.reading.text_tables import latex, markdown
from famus_ray.records.tables import of_one_type

__all__ = ["ENDINGS", "harmless", "write_frame"]

ENDINGS = (".csv", ".parquet", ".json", ".md", ".tex")
_FORMULA = re.compile(r"[=+\-@\t\r]")  # what a cell begins with that a spreadsheet computes


def write_frame(frame: pd.DataFrame, to: Path, kind: str) -> None:
    """Writes the frame, completely or not at all; the file's ending says how.

    A Parquet file has type, unit and meaning of each column in its metadata. In CSV files, text
    that a spreadsheet would compute has an apostrophe before it.

    Args:
        frame: the table.
        to: the file, with one of `ENDINGS`.
        kind: a key of `columns.FRAMES`.
    """
    if to.suffix == ".md":
        write_text(to, markdown(frame))
    elif to.suffix == ".tex":
        write_text(to, latex(frame))
    elif to.suffix == ".json":
        write_text(to, frame.to_json(orient="records", date_format="iso", indent=1) + "\n")
    elif to.suffix == ".csv":
        with replaced(to) as temporary:
            harmless(frame).to_csv(temporary, index=False)
    else:
        _write_parquet(frame, to, kind)


def harmless(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame with an apostrophe before each text, heads too, that is a formula to a spreadsheet.

    Numbers stay, also those in columns of text.
    """
    is_text = [not pd.api.types.is_numeric_dtype(t) and t.kind != "M" for t in frame.dtypes]
    changed = frame.copy(deep=False)
    for name in frame.columns[is_text]:
        changed[name] = frame[name].astype(object).map(_quoted, na_action="ignore")
    return changed.rename(columns=_quoted)


def _quoted(cell: object) -> object:
    if not isinstance(cell, str) or not _FORMULA.match(cell):
        return cell
    try:
        float(cell)
    except ValueError:
        return f"'{cell}"
    return cell


def _write_parquet(frame: pd.DataFrame, to: Path, kind: str) -> None:
    import pyarrow as pa
    import pyarrow.parquet as pq

    arrow = pa.Table.from_pandas(of_one_type(frame), preserve_index=False)
    content = {"table": kind, "columns": about(kind, map(str, frame.columns))}
    metadata = {**(arrow.schema.metadata or {}), b"famus_ray_frame": json.dumps(content).encode()}
    with replaced(to) as temporary:
        pq.write_table(arrow.replace_schema_metadata(metadata), temporary)
