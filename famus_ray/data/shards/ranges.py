"""Encoded images in large files: for each the file, and the bytes of it that are the image."""

# Shapes: N images.
from __future__ import annotations

from dataclasses import dataclass
from functools import cache
from typing import TYPE_CHECKING

import numpy as np
import pyarrow as pa
from numpy.typing import NDArray

from famus_ray.errors import UserError
from famus_ray.store import is_url, opened, patiently

if TYPE_CHECKING:
    from pyarrow import NativeFile

__all__ = ["Ranges"]


@dataclass(frozen=True)
class Ranges:
    """N encoded images; nothing is read until one is asked for.

    Attributes:
        files: paths or URLs.
        file: int32 (N,), the index in `files`.
        start: int64 (N,), of the image's first byte in its file.
        size: int32 (N,), in bytes.
    """

    files: tuple[str, ...]
    file: NDArray[np.int32]
    start: NDArray[np.int64]
    size: NDArray[np.int32]

    def __len__(self) -> int:
        return len(self.start)

    def take(self, places: pa.Array | NDArray[np.int64]) -> Ranges:
        """The images at `places`, in that order."""
        at = np.asarray(places)
        return Ranges(self.files, self.file[at], self.start[at], self.size[at])

    def read(self, place: int) -> bytes:
        """The encoded image.

        Raises:
            UserError: the file has become shorter.
            StoreAway: the object store did not answer for two minutes.
        """
        path, size = self.files[self.file[place]], int(self.size[place])
        start = int(self.start[place])

        def content_of() -> bytes:
            found: bytes = _open(path).read_at(size, start)
            return found

        content = patiently(path, content_of) if is_url(path) else content_of()
        if len(content) < size:
            raise UserError(f"{path}: has become shorter since it was opened; copy it again")
        return content


@cache
def _open(path: str) -> NativeFile:
    """One open file for all threads: its reads say where."""
    return opened(path)
