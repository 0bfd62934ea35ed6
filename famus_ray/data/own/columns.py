"""Which columns of a table hold the path, the label and the true label."""

from __future__ import annotations

import re
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from itertools import chain

from famus_ray.errors import UserError, did_you_mean

__all__ = [
    "SPELLINGS",
    "Columns",
    "choose_columns",
    "is_column_name",
    "names_column",
    "names_path_and_label",
]

SPELLINGS = {
    "path": (
        "file", "filename", "filepath", "fname", "image", "imagefile", "imageid", "imagename",
        "imagepath", "img", "imgfile", "imgname", "imgpath", "photo", "picture", "uri",
    ),
    "label": (
        "labels", "labelid", "labelname", "category", "categoryid", "categoryname", "class",
        "classid", "classlabel", "classname", "givenlabel", "noisylabel", "target", "y",
    ),
    "clean_label": ("cleanlabel", "cleanclass", "trueclass", "truelabel", "verifiedlabel"),
}  # fmt: skip
"""Other names of our columns that are understood, without regard to case, blanks, - and _."""


@dataclass(frozen=True)
class Columns:
    """The places of a table's columns.

    Attributes:
        path: place of the path.
        label: place of the label.
        clean: place of the true label; None if there is none.
        checked: place of the mark that a person has looked at the row; None if there is none.
        notes: which columns were taken, where their names are not ours, and which are not read.
    """

    path: int
    label: int
    clean: int | None
    checked: int | None = None
    notes: tuple[str, ...] = ()


def choose_columns(
    header: Sequence[str], origin: object, known: Mapping[str, int] | None = None
) -> Columns:
    """The columns of a header.

    Args:
        header: the names of the columns.
        origin: the table, for messages.
        known: places of the path or label that are known by more than their names.

    Raises:
        UserError: no column for the path or the label, or several.
    """
    known = known or {}
    path = known["path"] if "path" in known else _place("path", header, origin)
    label = known["label"] if "label" in known else _place("label", header, origin)
    for kind, place in (("path", path), ("label", label)):
        if place is None:
            strange = [name for name in header if not is_column_name(name)]
            like = did_you_mean(kind, strange).replace("did you mean", "is it")
            raise UserError(
                f"{origin}: no column {kind}; columns found: {_shown(header)}{like}; "
                "name the columns path and label"
            )
    assert path is not None
    assert label is not None
    clean = _place("clean_label", header, origin)
    checked = next((i for i, n in enumerate(header) if n.strip() == "checked"), None)
    taken = {"path": path, "label": label, "clean_label": clean, "checked": checked}
    read = [
        f"column {header[place]!r} as {kind}"
        for kind, place in taken.items()
        if place is not None and header[place].strip() != kind
    ]
    others = [
        name
        for place, name in enumerate(header)
        if place not in taken.values() and name.strip() and not name.startswith("__index_level_")
    ]
    notes = [f"reads {', '.join(read)}"] if read else []
    notes += [f"does not read the other columns {_shown(others)}"] if others else []
    return Columns(path, label, clean, checked, tuple(notes))


def names_path_and_label(header: Sequence[str]) -> bool:
    """Whether a header has columns for both, clear or not."""
    return names_column("path", header) and names_column("label", header)


def names_column(kind: str, header: Sequence[str]) -> bool:
    """Whether a header has a column for the path, label or clean_label, clear or not."""
    return not {_plain(name) for name in header}.isdisjoint({kind, *SPELLINGS[kind]})


def is_column_name(cell: str) -> bool:
    """Whether a cell is a name that a column of a header has."""
    return _plain(cell) in {_plain(name) for name in (*SPELLINGS, *chain(*SPELLINGS.values()))}


def _plain(name: str) -> str:
    return re.sub(r"[\s_-]", "", name).casefold()


def _place(kind: str, header: Sequence[str], origin: object) -> int | None:
    """The column of our name, or else the only one of another that is understood."""
    plain = [_plain(name) for name in header]
    ours = [place for place, name in enumerate(header) if name.strip() == kind]
    ours = ours or [place for place, name in enumerate(plain) if name == _plain(kind)]
    found = ours or [place for place, name in enumerate(plain) if name in SPELLINGS[kind]]
    if len(found) > 1:
        raise UserError(
            f"{origin}: {_shown([header[place] for place in found])} may each be the {kind}; "
            f"columns found: {_shown(header)}; name one of them {kind}"
        )
    return found[0] if found else None


def _shown(names: Sequence[str], most: int = 12) -> str:
    shown = ", ".join(repr(name if len(name) <= 60 else f"{name[:57]}...") for name in names[:most])
    return shown + (f" and {len(names) - most} more" if len(names) > most else "")
