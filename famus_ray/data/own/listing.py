"""The images of a user's own data as the files list them: paths and class names, no pixels."""

# Shapes: N images.
from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

import pandas as pd

from famus_ray.data.images import Paths
from famus_ray.findings import Finding

__all__ = ["Listing", "OwnData"]


@dataclass(frozen=True)
class Listing:
    """The images of one split.

    Attributes:
        origin: the file or folder that lists them, for messages: `/data/photos/train.csv`.
        files: the N images: files on disk, or encoded images in memory.
        labels: N class names, strings that are not empty.
        clean: N true class names, None where unknown; None if none is known.
    """

    origin: str
    files: Paths
    labels: pd.Series[str]
    clean: pd.Series[str] | None = None

    def __len__(self) -> int:
        return len(self.labels)


@dataclass(frozen=True)
class OwnData:
    """A user's data as found on disk.

    Attributes:
        layout: how the images are listed, in words: `class folders`, `tables`.
        splits: listings by split: train, and test, validation, meta where they exist. Without
            test the data set splits it off (`data.test_fraction`).
        class_names: the classes in the order that the data name themselves, such as Hugging
            Face's ClassLabel; None for the sorted order of the labels that occur.
        findings: what was left out and what looks wrong, one line each.
    """

    layout: str
    splits: Mapping[str, Listing]
    class_names: tuple[str, ...] | None = None
    findings: tuple[Finding, ...] = field(default=())
