"""The paths of a table as people write them, made names of files."""

# Shapes: N rows.
from __future__ import annotations

import os
import re
from collections.abc import Callable
from urllib.parse import unquote, urlsplit

import pandas as pd

from famus_ray.data.own.rows import Rows
from famus_ray.errors import UserError

__all__ = ["file_names", "same_files"]


def file_names(rows: Rows) -> tuple[pd.Series[str], tuple[str, ...]]:
    """The N names, absolute or relative to the table's folder, and notes on what was changed.

    Blanks around a path are left out; `file://` addresses, `~` and backslashes are understood.

    Raises:
        UserError: an address on the network, or text that cannot name a file.
    """
    written: pd.Series[str] = rows.cells["path"]
    names = written.str.strip()
    notes = []
    if count := int((names != written).sum()):
        notes.append(f"leaves out blanks around {count:,} paths")
    names = _changed(names, r"^file:", lambda place, name: _of_address(rows.where(place), name))
    address = names.str.contains(r"^[A-Za-z][A-Za-z0-9+.-]+://", regex=True)
    _refuse(rows, names, address, "is an address on the network; download the images")
    back = names.str.contains("\\", regex=False)
    names = names.str.replace("\\", "/", regex=False)
    if back.any():
        notes.append(f"reads the backslashes of {int(back.sum()):,} paths as /")
    drive = names.str.contains(r"^[A-Za-z]:/", regex=True)
    if drive.any() and os.name != "nt":
        example = written[drive].iloc[0]
        notes.append(
            f"has {int(drive.sum()):,} paths on a drive of another machine, such as {example!r}: "
            "make them relative to the table's folder"
        )
    names = _changed(names, r"^~", lambda _, name: os.path.expanduser(name))  # noqa: PTH111
    names = names.str.replace(r"^(?:\./+)+", "", regex=True)
    wrong = names.str.contains("\0", regex=False) | names.isin(["", ".", ".."])
    _refuse(rows, names, wrong, "names no file; write the path of an image")
    return names, tuple(notes)


def same_files(names: pd.Series[str], folder: os.PathLike[str]) -> pd.Series[str]:
    """A text for each name that is equal where two names are the same file, by the names alone."""
    start = os.path.abspath(folder).rstrip("/") + "/"  # noqa: PTH100
    full = names.where(names.str.startswith("/"), start + names)
    return _changed(full, r"/\.{0,2}/", lambda _, name: os.path.normpath(name))


def _changed(
    names: pd.Series[str], pattern: str, change: Callable[[int, str], str]
) -> pd.Series[str]:  # fmt: skip
    """The names, those with a pattern changed by a function of their place and text."""
    found = names.str.contains(pattern, regex=True).to_numpy()
    if not found.any():
        return names
    return pd.Series(
        [change(i, name) if found[i] else name for i, name in enumerate(names)],
        index=names.index,
        dtype=names.dtype,
    )


def _of_address(where: str, address: str) -> str:
    try:
        parts = urlsplit(address)
        path = unquote(re.sub(r"^file:(//[^/]*)?", "", address), errors="strict")
    except ValueError as error:
        raise UserError(f"{where}: path {address!r} is not an address of a file") from error
    if parts.netloc not in ("", "localhost"):
        raise UserError(
            f"{where}: path {address!r} is on the machine {parts.netloc!r}; an address of a file "
            "here begins with file:///"
        )
    return re.sub(r"^/(?=[A-Za-z]:/)", "", path)


def _refuse(rows: Rows, names: pd.Series[str], wrong: pd.Series[bool], what: str) -> None:
    if wrong.any():
        place = int(wrong.to_numpy().argmax())
        written = rows.cells["path"].iloc[place]
        more = f" ({int(wrong.sum()):,} such rows)" if wrong.sum() > 1 else ""
        raise UserError(f"{rows.where(place)}: path {written!r} {what}{more}")
