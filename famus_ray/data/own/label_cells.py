"""The labels of a table, checked: one class name a row."""

# Shapes: N rows.
from __future__ import annotations

from collections.abc import Mapping

import pandas as pd

from famus_ray.data.own.rows import Rows
from famus_ray.errors import UserError

__all__ = ["labels_of_splits", "refuse_missing", "refuse_several"]

_WHOLE = r"[+-]?[0-9]+(?:\.0*)?"


def refuse_missing(rows: Rows) -> None:
    """Raises a UserError where a path or label is missing, with the rows' count."""
    problems = []
    for column in ("path", "label"):
        missing = rows.cells[column].isna().to_numpy()
        if missing.any():
            first = int(missing.argmax())
            other = "label" if column == "path" else "path"
            beside = rows.cells[other].iloc[first]
            shown = "" if pd.isna(beside) else f" ({other} {beside!r})"
            count = int(missing.sum())
            rest = f", the first of {count:,} such rows" if count > 1 else ""
            problems.append(f"{rows.where(first)}: no {column}{shown}{rest}")
    if problems:
        raise UserError(f"{'; '.join(problems)}; fill the cells or take the rows out")


def refuse_several(rows: Rows) -> None:
    """Raises a UserError where a cell holds several labels, such as `cat|dog`."""
    for column in ("label", "clean_label"):
        if column not in rows.cells:
            continue
        cells = rows.cells[column].astype("object").fillna("")
        several = cells.str.contains(r"[|;\n\r]|^\s*\[.*\]\s*$", regex=True).to_numpy()
        if several.any():
            first = int(several.argmax())
            count = int(several.sum())
            rest = f" ({count:,} such rows)" if count > 1 else ""
            raise UserError(
                f"{rows.where(first)}: {column} {cells.iloc[first]!r} holds several labels{rest}; "
                "a row must have one class, whose name is without | and ;"
            )


def labels_of_splits(
    splits: Mapping[str, Rows],
) -> tuple[dict[str, pd.Series[str]], dict[str, pd.Series[str]], tuple[str, ...]]:
    """Class names (N,) and true class names, None where unknown, by split; and notes on them.

    Numbers that a table writes as 3.0, because a cell of their column was empty, become 3 if all
    labels of all splits are whole. A true label of -1 is unknown where labels are numbers.
    """
    labels = {split: rows.cells["label"] for split, rows in splits.items()}
    clean = {
        split: rows.cells["clean_label"]
        for split, rows in splits.items()
        if "clean_label" in rows.cells
    }
    notes = []
    every = pd.concat([*labels.values(), *clean.values()]).dropna().drop_duplicates()
    whole = bool(every.str.fullmatch(_WHOLE).all())
    pointed = every[every.str.contains(".", regex=False)]
    if whole and len(pointed):
        notes.append(f"reads whole numbers such as {pointed.iloc[0]!r} without their point")
        labels = {split: _without_point(column) for split, column in labels.items()}
        clean = {split: _without_point(column) for split, column in clean.items()}
    numbers = bool(pd.concat([*labels.values()]).str.fullmatch(_WHOLE).all())
    if numbers:
        clean = {split: column.where(column != "-1") for split, column in clean.items()}
        negative = sum(int((column == "-1").sum()) for column in labels.values())
        if negative:
            notes.append(
                f"has the label -1 in {negative:,} rows: it is read as a class; take the rows out "
                "if it stands for an unknown label"
            )
    named = {
        split: column.astype("object").where(column.notna(), None)
        for split, column in clean.items()
    }
    return labels, named, tuple(notes)


def _without_point(column: pd.Series[str]) -> pd.Series[str]:
    return column.str.replace(r"\.0*$", "", regex=True)
