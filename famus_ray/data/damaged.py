"""Image files that cannot be read: found before training, and refused or left out."""

# Shapes: N images of a split.
from __future__ import annotations

import shlex
import warnings
from collections.abc import Iterable, Iterator, Mapping
from concurrent.futures import ThreadPoolExecutor
from functools import cache
from typing import TypeVar

import numpy as np
import torch
from numpy.typing import NDArray

from famus_ray.config.schema import DataConfig
from famus_ray.data.decode import NotAnImage, decode
from famus_ray.data.images import Images, Paths
from famus_ray.errors import UserError

__all__ = ["DamagedImages", "decoders", "readable", "tell_left_out", "undecodable", "with_progress"]

T = TypeVar("T")

_SHOWN = 5
_AT_ONCE = 1024


class DamagedImages(UserError):
    """Several images that cannot be read.

    Attributes:
        found: the first error of each image.
        root: the data set's folder, for the advice; None without one.
    """

    def __init__(self, found: list[NotAnImage], root: str | None) -> None:
        super().__init__(found, root)  # both, so that the error can be pickled
        self.found, self.root = found, root

    def __str__(self) -> str:
        if len(self.found) == 1:
            return str(self.found[0])
        named = [f"{image.path} ({image.reason})" for image in self.found[:_SHOWN]]
        more = len(self.found) - len(named)
        where = shlex.quote(self.root) if self.root else "PATH"
        return (
            f"{len(self.found):,} images cannot be read: {', '.join(named)}"
            f"{f' and {more:,} more' if more else ''}; `famus-ray data check {where} --all` lists "
            "them, and data.damaged=leave_out leaves them out"
        )


def readable(splits: Mapping[str, Images], data: DataConfig) -> dict[str, NDArray[np.int64]]:
    """For each split the sorted indices of its images that can be read.

    With `data.damaged = leave_out` every image file is decoded; else all are taken to be whole.

    Raises:
        UserError: a split has no image that can be read.
    """
    kept = {}
    for name, images in splits.items():
        kept[name] = np.arange(len(images.labels))
        if data.damaged == "leave_out" and isinstance(images.pixels, Paths):
            damaged = undecodable(images.pixels, kept[name])
            kept[name] = np.setdiff1d(kept[name], list(damaged))
            if damaged and not len(kept[name]):
                raise UserError(
                    f"data.damaged = leave_out: leaves no image of {name}; "
                    f"{_example(images.pixels, damaged)}"
                )
    return kept


def tell_left_out(
    splits: Mapping[str, Images], kept: Mapping[str, NDArray[np.int64]]
) -> dict[str, int]:  # fmt: skip
    """The number of images left out of each split that has lost some; a warning counts them."""
    lost = {name: len(images.labels) - len(kept[name]) for name, images in splits.items()}
    lost = {name: count for name, count in lost.items() if count}
    if lost:
        total = sum(len(images.labels) for images in splits.values())
        by_split = ", ".join(f"{count:,} of {name}" for name, count in lost.items())
        name = next(iter(lost))
        files = splits[name].pixels
        assert isinstance(files, Paths)
        first = int(np.setdiff1d(np.arange(len(files)), kept[name])[0])
        warnings.warn(
            f"data.damaged = leave_out: {sum(lost.values()):,} of {total:,} images cannot be read "
            f"and are left out ({by_split}), such as {files.path(first)}",
            stacklevel=2,
        )
    return lost


def undecodable(paths: Paths, places: NDArray[np.int64]) -> dict[int, str]:
    """The images at the indices `places` that cannot be decoded: index and reason."""

    def reason(place: int) -> str | None:
        try:
            decode(paths.encoded(place), 1, paths.path(place))
        except NotAnImage as error:
            return error.reason
        return None

    found: dict[int, str] = {}
    parts = [places[start : start + _AT_ONCE] for start in range(0, len(places), _AT_ONCE)]
    for part in with_progress(parts, len(places), "checking images"):
        reasons = zip(part.tolist(), decoders().map(reason, part.tolist()), strict=True)
        found |= {place: why for place, why in reasons if why is not None}
    return found


def with_progress(parts: Iterable[T], images: int, what: str) -> Iterator[T]:
    """The parts of a read of `images` images; a bar on stderr shows them if these are many."""
    from rich.console import Console
    from rich.progress import track

    few = images < 10_000
    yield from track(parts, what, console=Console(stderr=True), transient=True, disable=few)


def decoders() -> ThreadPoolExecutor:
    """The threads that decode images, as many as torch uses."""
    return _pool(max(1, torch.get_num_threads()))


@cache
def _pool(threads: int) -> ThreadPoolExecutor:
    return ThreadPoolExecutor(threads, "decode")


def _example(files: Paths, damaged: Mapping[int, str]) -> str:
    place, reason = next(iter(damaged.items()))
    return f"{files.path(place)}: {reason}"
