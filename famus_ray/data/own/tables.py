"""A user's own images as tables list them: which files, which labels, and what looks wrong."""

# Shapes: N rows.
from __future__ import annotations

from collections.abc import Iterator, Mapping
from itertools import combinations
from pathlib import Path

import pandas as pd
import pyarrow as pa

from famus_ray.data.images import Paths
from famus_ray.data.own.csv_text import read_csv_text
from famus_ray.data.own.label_cells import labels_of_splits, refuse_missing, refuse_several
from famus_ray.data.own.listing import Listing, OwnData
from famus_ray.data.own.parquet import read_parquet
from famus_ray.data.own.path_cells import file_names, same_files
from famus_ray.data.own.rows import Rows
from famus_ray.data.own.spelling import spelling_finding
from famus_ray.data.own.table_files import TableFiles, find_tables
from famus_ray.findings import Finding

__all__ = ["list_tables"]


def list_tables(path: Path) -> OwnData:
    """The images that tables list: CSV, TSV or Parquet, whose images may lie in the table itself.

    Args:
        path: a folder with a table of train and perhaps test, validation (or val) and meta; or
            one table, which is then train.

    Whether the files exist is not looked at.

    Raises:
        UserError: a table that is missing, damaged or not clear, with its file, row and value.
    """
    rows = {split: _read(table) for split, table in find_tables(path).items()}
    for table in rows.values():
        refuse_missing(table)
        refuse_several(table)
    names, notes = {}, {split: list(table.notes) for split, table in rows.items()}
    for split, table in rows.items():
        names[split] = table.cells["path"]
        if table.contents is None:
            names[split], more = file_names(table)
            notes[split] += more
    labels, clean, of_all = labels_of_splits(rows)
    notes["train"] += of_all
    splits = {
        split: Listing(
            table.origin, _paths(table, names[split]), labels[split], clean.get(split)
        )
        for split, table in rows.items()
    }  # fmt: skip
    files = {
        split: same_files(names[split], table.folder)
        for split, table in rows.items()
        if table.contents is None
    }
    spelling = spelling_finding(pd.concat([*labels.values()]), str(path))
    findings = [
        *_told(rows, notes),
        *_repeated(rows, files, labels),
        *_in_two_splits(rows, files),
        *([spelling] if spelling else []),
    ]
    return OwnData("tables", splits, rows["train"].class_names, tuple(findings))


def _read(table: TableFiles) -> Rows:
    if table.files[0].suffix.casefold() == ".parquet":
        return read_parquet(table)
    return read_csv_text(table.files[0])


def _paths(table: Rows, names: pd.Series[str]) -> Paths:
    root = table.folder if table.contents is None else Path(table.origin)
    return Paths(root, pa.array(names, pa.large_string()), table.contents)


def _told(rows: Mapping[str, Rows], notes: Mapping[str, list[str]]) -> Iterator[Finding]:
    """The notes, each once with the tables that it is about."""
    tables: dict[str, list[str]] = {}
    for split, found in notes.items():
        for note in found:
            tables.setdefault(note, []).append(rows[split].origin)
    for note, origins in tables.items():
        also = "".join(f", {Path(origin).name}" for origin in origins[1:])
        yield Finding("note", f"{origins[0]}{also}: {note}")


def _repeated(
    rows: Mapping[str, Rows],
    files: Mapping[str, pd.Series[str]],
    labels: Mapping[str, pd.Series[str]],
) -> Iterator[Finding]:
    """The images that a table lists more than once, with one label or several."""
    for split, keys in files.items():
        frame = pd.DataFrame({"file": keys.to_numpy(), "label": labels[split].to_numpy()})
        again = frame[frame["file"].duplicated(keep=False)]
        if again.empty:
            continue
        kinds = again.groupby("file", sort=False)["label"].nunique()
        for several, how, mend in (
            (False, "with the same label", "keep one row of each"),
            (True, "with different labels", "keep the row with the right label"),
        ):
            chosen = kinds.index[(kinds > 1) == several]
            if not len(chosen):
                continue
            first = again[again["file"] == chosen[0]]
            path = rows[split].cells["path"].iloc[first.index[0]]
            given = ", ".join(
                f"row {rows[split].where(place).rpartition(' ')[2]} {label!r}"
                for place, label in first["label"].iloc[:3].items()
            )
            yield Finding(
                "note",
                f"{rows[split].origin}: {len(chosen):,} images are listed more than once {how}, "
                f"such as {path!r} ({given})",
                mend,
            )


def _in_two_splits(
    rows: Mapping[str, Rows], files: Mapping[str, pd.Series[str]]
) -> Iterator[Finding]:  # fmt: skip
    """The images that two tables list."""
    for one, other in combinations(files, 2):
        both = files[one].isin(files[other]) & ~files[one].duplicated()
        if both.any():
            place = int(both.to_numpy().argmax())
            yield Finding(
                "note",
                f"{rows[one].where(place)}: path {rows[one].cells['path'].iloc[place]!r} is in "
                f"{Path(rows[other].origin).name}, too: {int(both.sum()):,} images are in both",
                "take them out of one table: tested on what was trained, a network looks too good",
            )
