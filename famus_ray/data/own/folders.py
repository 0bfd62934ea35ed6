"""Images in a folder for each class, with or without folders `train`, `test`, `val` and `meta`."""

from __future__ import annotations

import os
from collections.abc import Iterator, Mapping
from pathlib import Path

import pandas as pd
import pyarrow as pa

from famus_ray.data.images import Paths
from famus_ray.data.own.listing import Listing, OwnData
from famus_ray.data.own.walk import LeftOut, folders_in, images_below
from famus_ray.errors import UserError
from famus_ray.findings import Finding

__all__ = ["SPLIT_NAMES", "list_folders", "splits_in"]

# The names that people give to the parts of a data set.
SPLIT_NAMES = {
    "train": ("train", "training"),
    "test": ("test", "testing"),
    "validation": ("validation", "valid", "val"),
    "meta": ("meta",),
}


def list_folders(root: Path) -> OwnData:
    """The images in `root/<class>/...`, or in `root/train/<class>/...` and so on.

    Images in folders below a class count to the class. Without a test folder, a validation
    folder is the test set; without both, the test set is split off (`data.test_fraction`).

    Raises:
        UserError: no images, or images of one class only.
    """
    left_out = LeftOut()
    if not (parts := splits_in(root)):
        parts = {"train": ""}
    if "test" not in parts and "validation" in parts:
        parts["test"] = parts.pop("validation")
    listings = {split: _listing(root, folder, left_out) for split, folder in parts.items()}
    _check_classes(root, parts["train"], listings["train"])
    findings = [*left_out.findings(), *_empty_classes(root, parts, listings)]
    layout = "class folders" if parts["train"] == "" else "class folders in train/ and others"
    return OwnData(layout, listings, findings=tuple(findings))


def splits_in(root: Path) -> dict[str, str]:
    """The folders of splits in `root`, by split; empty if there is none for training."""
    there = {entry.name.lower(): entry.name for entry in os.scandir(root) if entry.is_dir()}
    found = {
        split: there[name]
        for split, names in SPLIT_NAMES.items()
        if (name := next((n for n in names if n in there), None)) is not None
    }
    return found if "train" in found else {}


def _listing(root: Path, folder: str, left_out: LeftOut) -> Listing:
    place = root / folder
    names, labels = [], []
    for name in folders_in(place, left_out):
        found = images_below(root, f"{folder}/{name}" if folder else name, left_out)
        names += found
        labels += [_class_name(place, name)] * len(found)
    loose = [entry.name for entry in os.scandir(place) if entry.is_file()]
    for name in loose:
        left_out.add("files in no class's folder", f"{folder}/{name}" if folder else name)
    if not names:
        raise UserError(
            f"{place}: no images in folders of their classes; wanted is {place}/<class>/<image>"
        )
    return Listing(str(place), Paths(root, pa.array(names, pa.large_string())), pd.Series(labels))


def _class_name(place: Path, name: str) -> str:
    try:
        name.encode()
    except UnicodeEncodeError as error:
        raise UserError(
            f"{place}: the folder {os.fsencode(name)!r} has a name that is not UTF-8; rename it"
        ) from error
    return name


def _check_classes(root: Path, folder: str, train: Listing) -> None:
    classes = train.labels.unique()
    if len(classes) > 1:
        return
    below = root / folder / classes[0]
    inside = [entry.name for entry in os.scandir(below) if entry.is_dir()]
    hint = f"; if the classes are the folders in it, name {below}" if len(inside) > 1 else ""
    raise UserError(
        f"{root / folder}: has one class only, {classes[0]}; a classifier needs two or more{hint}"
    )


def _empty_classes(
    root: Path, parts: Mapping[str, str], listings: Mapping[str, Listing]
) -> Iterator[Finding]:
    """Notes on classes without images, in a split that has a folder for them or not."""
    train = set(listings["train"].labels)
    for split, folder in parts.items():
        there = set(listings[split].labels)
        empty = [name for name in folders_in(root / folder, LeftOut()) if name not in there]
        if empty:
            yield Finding("note", f"{root / folder}: no images of {_some(empty)}")
        if absent := sorted(train - there - set(empty)):
            yield Finding("note", f"{root / folder}: has no class {_some(absent)}, train has")


def _some(names: list[str]) -> str:
    return ", ".join(names[:5]) + (f" and {len(names) - 5} more" if len(names) > 5 else "")
