"""The tables of a folder: files, shards and partitioned folders of each split."""

from __future__ import annotations

import re
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from famus_ray.errors import UserError

__all__ = ["TABLE_ENDINGS", "TableFiles", "find_tables", "holds_tables"]

TABLE_ENDINGS = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")

_SPLITS = ("train", "test", "validation", "val", "meta")
_SHARD = re.compile(r"(?P<split>[a-z]+)-(?P<number>\d{5,})-of-(?P<count>\d{5,})\.parquet")


@dataclass(frozen=True)
class TableFiles:
    """One table on disk.

    Attributes:
        origin: its path, for messages; of shards with a star for their numbers.
        folder: where the table's relative paths start.
        files: what holds its rows, in order; several of Parquet alone.
        partitioned: the folder of a partitioned table, whose folders' names `key=value` are
            columns; None for others.
    """

    origin: Path
    folder: Path
    files: tuple[Path, ...]
    partitioned: Path | None = None


def find_tables(path: Path) -> dict[str, TableFiles]:
    """The tables of a folder by split, or of a single table `train` alone.

    `val` stands for test where there is no test table, else for validation.

    Raises:
        UserError: no training table, several of one split, or a missing shard.
    """
    if path.is_file():
        if not _ending(path):
            raise UserError(f"{path}: is no table; one ends in {', '.join(TABLE_ENDINGS)}")
        return {"train": TableFiles(path, path.parent, (path,))}
    if not path.is_dir():
        raise UserError(f"{path}: no such file or folder")
    if any(entry.is_dir() and "=" in entry.name for entry in path.iterdir()):
        return {"train": _partitioned(path, path)}
    found: dict[str, list[TableFiles]] = {}
    for folder in (path, path / "data"):
        for split, table in _tables_in(folder) if folder.is_dir() else ():
            found.setdefault(split, []).append(table)
    if "val" in found:
        found.setdefault("validation" if "test" in found else "test", []).extend(found.pop("val"))
    for split, tables in found.items():
        if len(tables) > 1:
            raise UserError(
                f"{path}: {' and '.join(str(table.origin) for table in tables)} may each be the "
                f"table of {split}; keep one"
            )
    if "train" not in found:
        others = sorted(entry.name for entry in path.iterdir() if _ending(entry))[:5]
        hint = f"; give the table itself, such as {path / others[0]}" if others else ""
        raise UserError(f"{path}: holds no train.csv or other table of train{hint}")
    return {split: found[split][0] for split in _SPLITS if split in found}


def holds_tables(folder: Path) -> bool:
    """Whether a folder holds a table of train, or Parquet files in folders `key=value`."""
    if any(entry.is_dir() and "=" in entry.name for entry in folder.iterdir()):
        return any(folder.rglob("*.parquet"))
    places = [place for place in (folder, folder / "data") if place.is_dir()]
    return any(split == "train" for place in places for split, _ in _names_in(place))


def _names_in(folder: Path) -> Iterator[tuple[str, Path]]:
    """The tables' files and folders in a folder, by split."""
    for entry in sorted(folder.iterdir()):
        name = entry.name.casefold()
        if shard := _SHARD.fullmatch(name):
            yield shard["split"], entry
        elif entry.is_file() and _ending(entry):
            yield name.removesuffix(_ending(entry)), entry
        elif entry.is_dir() and name in _SPLITS and _holds_parquet(entry):
            yield name, entry


def _tables_in(folder: Path) -> Iterator[tuple[str, TableFiles]]:
    shards: dict[tuple[str, int], dict[int, Path]] = {}
    for entry in sorted(folder.iterdir()):
        name = entry.name.casefold()
        if shard := _SHARD.fullmatch(name):
            key = shard["split"], int(shard["count"])
            shards.setdefault(key, {})[int(shard["number"])] = entry
            continue
        split = name.removesuffix(_ending(entry))
        if split not in _SPLITS:
            continue
        if entry.is_file() and _ending(entry):
            yield split, TableFiles(entry, folder, (entry,))
        elif entry.is_dir() and _holds_parquet(entry):
            yield split, _partitioned(entry, folder)
    for (split, count), parts in shards.items():
        if split in _SPLITS:
            yield split, _of_shards(folder, split, count, parts)


def _of_shards(folder: Path, split: str, count: int, parts: dict[int, Path]) -> TableFiles:
    missing = next((number for number in range(count) if number not in parts), None)
    if missing is not None:
        name = f"{split}-{missing:05d}-of-{count:05d}.parquet"
        raise UserError(
            f"{folder / name}: missing; {len(parts):,} of the {count:,} files of {split} are here"
        )
    files = tuple(parts[number] for number in sorted(parts))
    star = folder / f"{split}-*-of-{count:05d}.parquet"
    return TableFiles(files[0] if count == 1 else star, folder, files)


def _partitioned(root: Path, folder: Path) -> TableFiles:
    files = tuple(
        file
        for file in sorted(root.rglob("*.parquet"))
        if file.is_file()
        and not any(part.startswith(("_", ".")) for part in file.relative_to(root).parts)
    )
    if not files:
        raise UserError(f"{root}: holds no Parquet file")
    return TableFiles(root, folder, files, partitioned=root)


def _holds_parquet(folder: Path) -> bool:
    return any(
        (entry.is_dir() and "=" in entry.name and any(entry.rglob("*.parquet")))
        or (entry.is_file() and entry.suffix.casefold() == ".parquet")
        for entry in folder.iterdir()
    )


def _ending(path: Path) -> str:
    name = path.name.casefold()
    return max((e for e in TABLE_ENDINGS if name.endswith(e)), key=len, default="")
