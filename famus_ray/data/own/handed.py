"""Data handed over in Python, kept in the folder of the run or study that trains on them."""

from __future__ import annotations

import hashlib
import tempfile
from collections.abc import Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import pandas as pd

from famus_ray.config.schema import DataConfig
from famus_ray.data.images import Images, Source
from famus_ray.data.own.array_images import images_of, pairs_of
from famus_ray.data.own.arrays import fingerprint, write_arrays
from famus_ray.data.own.layout import list_own
from famus_ray.data.own.source import as_source, to_source
from famus_ray.errors import UserError
from famus_ray.files import replaced

__all__ = ["HandedData", "handed_data", "is_data"]

_SPLITS = ("meta", "validation", "test")


def is_data(value: Any) -> bool:
    """Whether a value is data, and not a setting: arrays, a table, a `Source` or a data set."""
    if value is None or isinstance(value, str | Path | Mapping):
        return False
    is_map_style = hasattr(value, "__getitem__") and hasattr(value, "__len__")
    return isinstance(value, Source) or is_map_style


@dataclass(frozen=True)
class HandedData:
    """Data in memory, as images or as tables of paths, by split; `train` is among them."""

    images: Mapping[str, Images] | None = None
    tables: Mapping[str, pd.DataFrame] | None = None

    def read(self, data: DataConfig) -> Source:
        """The data set, as it will be read from where it is kept, before corrections.

        Raises:
            UserError: tables with mistakes, or no test images.
        """
        if self.images is not None:
            return to_source(self.images, data.test_fraction, "data")
        with tempfile.TemporaryDirectory() as folder:
            self.write(Path(folder))
            try:
                return as_source(list_own(Path(folder), "own"), Path(folder), data)
            except UserError as error:
                told = str(error).replace(f"{folder}/train.parquet", "data")
                for split in _SPLITS:
                    told = told.replace(f"{folder}/{split}.parquet", split)
                raise UserError(told) from error

    def told(self, data: DataConfig) -> Iterator[str]:
        """Lines for the user on the data."""
        splits = self.images or self.tables or {}
        lengths = {s: len(x.labels if isinstance(x, Images) else x) for s, x in splits.items()}
        yield "data: " + ", ".join(f"{n:,} images of {split}" for split, n in lengths.items())
        if "test" not in splits:
            yield (
                f"no test set: data.test_fraction={data.test_fraction:g} of each class is held "
                "out for it, with the labels as they are"
            )

    @property
    def fingerprint(self) -> str:
        """Sixteen hexadecimal digits that tell these data from others."""
        if self.images is not None:
            return fingerprint(self.images)
        digest = hashlib.sha256()
        for split, frame in sorted((self.tables or {}).items()):
            digest.update(split.encode() + frame.to_csv(index=False).encode())
        return digest.hexdigest()[:16]

    def write(self, folder: Path) -> None:
        """Writes the data into a folder that `data.name=own` reads."""
        if self.images is not None:
            write_arrays(folder, self.images)
            return
        for split, frame in sorted((self.tables or {}).items(), key=lambda s: s[0] == "train"):
            with replaced(folder / f"{split}.parquet") as path:
                frame.to_parquet(path, index=False)


def handed_data(data: Any, **others: Any) -> HandedData:
    """Data that were handed over.

    Args:
        data: (images, labels), a data set of torch, a `Source`, or a DataFrame with columns path
            and label; paths that are not absolute start in the working directory.
        others: meta, validation and test, each of the same kind, or None.

    Raises:
        UserError: what cannot be read, or in two ways; the message says what to change.
    """
    given = {split: value for split, value in others.items() if value is not None}
    if isinstance(data, Source):
        if given:
            raise UserError(f"{next(iter(given))}: a Source has its own; put it in there")
        return _of_source(data)
    if isinstance(data, pd.DataFrame):
        tables = {"train": data, **given}
        odd = [split for split, frame in tables.items() if not isinstance(frame, pd.DataFrame)]
        if odd:
            raise UserError(f"{odd[0]}: must be a DataFrame with path and label, as data is")
        return HandedData(tables={split: _located(f, split) for split, f in tables.items()})
    train = images_of(pairs_of(data, "data"), "data")
    images = {s: images_of(pairs_of(value, s), s, train) for s, value in given.items()}
    return HandedData(images={"train": train, **images})


def _of_source(source: Source) -> HandedData:
    splits = {"train": source.train, "test": source.test, "validation": source.validation,
              "meta": source.meta, **source.more_tests}  # fmt: skip
    there = {split: images for split, images in splits.items() if images is not None}
    in_files = any(not isinstance(images.pixels, np.ndarray) for images in there.values())
    if in_files or source.more_tests or source.train.superclass_of is not None:
        raise UserError(
            "data: of a Source only images in memory are kept, without further test sets or "
            "superclasses; name the function that reads it: data=mine.birds.read, or on the "
            "command line data.name=mine.birds:read"
        )
    return HandedData(images=there)


def _located(frame: pd.DataFrame, split: str) -> pd.DataFrame:
    """The table with absolute paths."""
    what = "data" if split == "train" else split
    if missing := {"path", "label"} - set(frame.columns):
        columns = ", ".join(map(str, frame.columns))
        raise UserError(f"{what}: has no column {min(missing)}; its columns are {columns}")
    known = frame["path"].notna()
    paths = frame["path"].where(~known, frame["path"].map(lambda path: _absolute(path)))
    return frame.assign(path=paths)


def _absolute(path: Any) -> Any:
    return str(Path(path).expanduser().absolute()) if isinstance(path, str | Path) else path
