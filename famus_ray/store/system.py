"""The file systems of stores, and patience with them.

They are those of pyarrow (s3, gs, abfs, hdfs, file), or else of fsspec.
"""

from __future__ import annotations

import time
from collections.abc import Callable, Iterator
from functools import cache
from typing import TYPE_CHECKING, TypeVar

from famus_ray.errors import UserError, first_line
from famus_ray.store.urls import is_url, parts_of

if TYPE_CHECKING:
    from pyarrow import NativeFile
    from pyarrow.fs import FileSystem

__all__ = ["StoreAway", "file_system", "opened", "patiently"]

_PATIENCE = 120.0  # seconds to wait for a store that is away
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds between attempts; the last one again and again

_Result = TypeVar("_Result")


class StoreAway(OSError):
    """The object store does not answer, or refuses."""


def opened(path: str) -> NativeFile:
    """A file for reads at any place, by its path or URL; the caller closes it.

    Raises:
        FileNotFoundError: there is none.
        StoreAway: the object store did not answer for two minutes.
    """
    from pyarrow import OSFile

    if not is_url(path):
        return OSFile(path)
    root, names = parts_of(path)
    system, prefix = file_system(root)
    return patiently(root, lambda: system.open_input_file("/".join((prefix, *names))))


@cache
def file_system(root: str) -> tuple[FileSystem, str]:
    """The file system of a store, and the path of its root in it.

    Raises:
        UserError: a scheme that nothing here knows, or a query that it does not know.
    """
    import pyarrow as pa
    from pyarrow import fs

    try:
        system, prefix = fs.FileSystem.from_uri(root)
        return system, prefix.rstrip("/")
    except (pa.ArrowInvalid, pa.ArrowNotImplementedError, ValueError) as error:
        if "nrecognized filesystem" not in str(error):
            raise UserError(f"run.root = {root}: {first_line(error)}") from error
    try:
        import fsspec  # type: ignore[import-untyped]

        system, prefix = fsspec.core.url_to_fs(root)
    except (ImportError, ValueError) as error:
        raise UserError(
            f"run.root = {root}: {first_line(error)}; s3://, gs:// and abfs:// need nothing more, "
            "others the package of fsspec for them"
        ) from error
    return fs.PyFileSystem(fs.FSSpecHandler(system)), str(prefix).rstrip("/")


def patiently(root: str, attempt: Callable[[], _Result]) -> _Result:
    """The result of the attempt, tried again while the store is away.

    Raises:
        StoreAway: it did not answer for two minutes.
    """
    began = time.monotonic()
    for pause in _pauses():
        try:
            return attempt()
        except FileNotFoundError:
            raise
        except OSError as error:
            if time.monotonic() - began + pause > _PATIENCE:
                waited = f"after {time.monotonic() - began:.0f} s of attempts"
                raise StoreAway(f"{root}: no answer {waited}: {first_line(error)}") from error
            time.sleep(pause)
    raise AssertionError("pauses do not end")


def _pauses() -> Iterator[float]:
    yield from _PAUSES
    while True:
        yield _PAUSES[-1]
