"""What a folder of shards holds: its manifest, written last."""

from __future__ import annotations

import json
from collections.abc import Mapping
from dataclasses import asdict, dataclass, field
from pathlib import Path
from typing import Any

from famus_ray.errors import UserError

__all__ = [
    "MANIFEST", "SKIPPED", "Manifest", "ShardOfSplit", "SplitOfShards", "holds_shards",
    "read_manifest",
]  # fmt: skip

MANIFEST = "shards.json"
"""The name of the manifest in the folder of the shards."""

SKIPPED = "skipped.csv"
"""Beside it: the damaged images that were left out, with why."""

_FORMAT = 1


@dataclass(frozen=True)
class ShardOfSplit:
    """One file.

    Attributes:
        name: in the folder.
        images: that it holds.
        bytes: its size.
        sha256: of its contents, hexadecimal.
    """

    name: str
    images: int
    bytes: int
    sha256: str


@dataclass(frozen=True)
class SplitOfShards:
    """One split of the data set.

    Attributes:
        truth: whether true labels are known, of some images at least.
        checked: whether a person has checked some of the labels.
        skipped: damaged images that are not in the shards.
        files: in the order of the ids.
    """

    truth: bool
    checked: bool
    skipped: int
    files: tuple[ShardOfSplit, ...]

    @property
    def images(self) -> int:
        return sum(file.images for file in self.files)


@dataclass(frozen=True)
class Manifest:
    """A data set in shards.

    Attributes:
        name: of the data set that they were made from.
        classes: number of classes.
        class_names: a name for each class; None without names.
        superclass_of: of each class; None without a hierarchy.
        mean, std: of the channels, on the scale [0, 1].
        resized: the shorter side in pixels to which larger images were scaled; None if they are
            as they were.
        splits: train and test, and others by name.
    """

    name: str
    classes: int
    class_names: tuple[str, ...] | None
    superclass_of: tuple[int, ...] | None
    mean: tuple[float, ...]
    std: tuple[float, ...]
    resized: int | None
    splits: Mapping[str, SplitOfShards] = field(default_factory=dict)

    def as_json(self) -> dict[str, Any]:
        """The manifest as it is written."""
        return {"format": _FORMAT, **asdict(self)}


def holds_shards(root: Path) -> bool:
    """Whether the folder holds complete shards."""
    return (root / MANIFEST).is_file()


def read_manifest(text: str, origin: str) -> Manifest:
    """A manifest from its JSON.

    Args:
        text: of the file.
        origin: its path, for messages.

    Raises:
        UserError: it is damaged, or of a later version.
    """
    try:
        content = json.loads(text)
        if (version := content.pop("format")) != _FORMAT:
            raise UserError(f"{origin}: format {version}, and this version reads {_FORMAT} only")
        splits = {
            name: SplitOfShards(
                **{**split, "files": tuple(ShardOfSplit(**file) for file in split["files"])}
            )
            for name, split in content.pop("splits").items()
        }
        lists = {key: tuple(value) for key, value in content.items() if isinstance(value, list)}
        return Manifest(**{**content, **lists}, splits=splits)
    except (ValueError, TypeError, KeyError, AttributeError) as error:
        raise UserError(f"{origin}: damaged ({error}); copy it again, or prepare anew") from error
