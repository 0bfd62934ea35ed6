"""The layout of a user's data, recognised by what is in the folder or the file."""

from __future__ import annotations

from pathlib import Path

from famus_ray.data.own.arrays import holds_arrays
from famus_ray.data.own.folders import list_folders, splits_in
from famus_ray.data.own.idx import holds_idx
from famus_ray.data.own.listing import OwnData
from famus_ray.data.own.table_files import holds_tables
from famus_ray.data.own.tables import list_tables
from famus_ray.data.shards.manifest import holds_shards
from famus_ray.errors import UserError

__all__ = ["list_own", "own_layout"]


def own_layout(path: Path) -> str:
    """The layout of a folder or a single table: shards, tables, idx, arrays or folders.

    Folders of splits come before tables, tables before plain class folders.

    Raises:
        UserError: neither.
    """
    if path.is_file():
        return "tables"
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder")
    if holds_shards(path):
        return "shards"
    if splits_in(path) and not holds_tables(path):
        return "folders"
    if holds_tables(path):
        return "tables"
    if holds_idx(path):
        return "idx"
    if holds_arrays(path):
        return "arrays"
    if any(entry.is_dir() for entry in path.iterdir()):
        return "folders"
    raise UserError(
        f"{path}: holds neither folders of images, one a class, nor a table such as train.csv "
        "with columns path and label; `famus-ray data list` shows the layouts"
    )


def list_own(path: Path, name: str) -> OwnData | None:
    """The listings of the data at `path`; None for shards and arrays of pixels.

    Args:
        path: a folder or a table.
        name: `data.name`: folders, tables, or own, whose layout is recognised.
    """
    layout = own_layout(path) if name == "own" else name
    if layout in ("shards", "idx", "arrays"):
        return None
    return list_tables(path) if layout == "tables" else list_folders(path)
