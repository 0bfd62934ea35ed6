"""Runs in an object store: a working copy on this machine, and whole files in the store.

`run.root` may be a URL such as s3://bucket/runs. Processes write to a working copy, and every file
that was written whole is uploaded whole (`files.replaced`). The path of the working copy holds the
URL, so every process that knows the path finds the store. A file's time is that of the store, so
what is newer there is seen, and downloaded when a folder is opened.

File systems are those of pyarrow (s3, gs, abfs, hdfs, file), or else of fsspec.
"""

from __future__ import annotations

import os
import time
from collections.abc import Callable, Iterator
from functools import cache
from pathlib import Path
from typing import TYPE_CHECKING, Any, TypeVar
from urllib.parse import quote, unquote

from famus_ray.errors import UserError, first_line

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo, FileSystem

__all__ = [
    "StoreAway", "download", "is_url", "names_in", "remove", "shown", "upload", "upload_folder",
    "working_copy",
]  # fmt: skip

_COPIES = "famus_ray-stores"
_HEAVY = ("checkpoints", "data", "ray")  # folders that only training needs
_PATIENCE = 120.0  # seconds to wait for a store that is away
_PAUSES = (0.5, 1.0, 2.0, 4.0, 8.0)  # seconds between attempts; the last one again and again

_FRESH = 3.0  # seconds in which a folder that was brought up to date is not looked at again
_seen: dict[Path, float] = {}  # when folders were brought up to date

_Result = TypeVar("_Result")


class StoreAway(OSError):
    """The object store does not answer, or refuses."""


def is_url(text: str | Path) -> bool:
    """Whether a folder is named by a URL."""
    return "://" in str(text)


def working_copy(url: str) -> Path:
    """The folder on this machine that stands for a URL: below the cache folder of the user.

    A query, such as `?endpoint_override=host:9000`, belongs to the whole store.
    """
    at = os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache"
    base, _, query = url.partition("?")
    scheme, _, rest = base.partition("://")
    bucket, *inside = [part for part in rest.split("/") if part]
    root = f"{scheme}://{bucket}" + (f"?{query}" if query else "")
    return Path(at, _COPIES, quote(root, safe=""), *inside)


def shown(path: str | Path) -> str:
    """The path, or the URL that it stands for, as a user would type it."""
    found = _of(Path(path))
    if found is None:
        return str(path)
    root, inside = found
    base, mark, query = root.partition("?")
    return f"{base}/{inside}{mark}{query}" if inside else root


def upload(path: Path) -> None:
    """Uploads the file `path`, if it lies in a working copy; its time becomes that of the store.

    Raises:
        StoreAway: the store did not answer for two minutes.
    """
    found = _of(path)
    if found is None:
        return
    root, inside = found

    def put() -> FileInfo:
        system, prefix = _file_system(root)
        target = f"{prefix}/{inside}"
        with path.open("rb") as file, system.open_output_stream(target) as stream:
            while piece := file.read(1 << 22):
                stream.write(piece)
        return system.get_file_info(target)

    _keep_time(path, _patiently(root, put))


def upload_folder(folder: Path) -> None:
    """Uploads all files in the folder, where it lies in a working copy."""
    for path in sorted(folder.rglob("*")) if _of(folder) else ():
        if path.is_file() and not path.name.startswith("."):
            upload(path)


def download(folder: Path, *, heavy: bool = False) -> None:
    """Makes the folder's files those of the store, where it lies in a working copy.

    Args:
        folder: may not exist yet.
        heavy: with checkpoints and data, too.

    Raises:
        StoreAway: the store did not answer for two minutes.
    """
    found = _of(folder)
    if found is None:
        return
    now = time.monotonic()
    if not heavy and any(now - _seen.get(at, -_FRESH) < _FRESH for at in (folder, *folder.parents)):
        return
    root, inside = found
    top = _file_system(root)[1] + (f"/{inside}" if inside else "")
    for info in _listed(root, top, recursive=True):
        below = info.path[len(top) + 1 :]
        if info.is_file and (heavy or not {*below.split("/")[:-1]} & {*_HEAVY}):
            _get(root, info, folder / below)
    _seen[folder] = time.monotonic()


def names_in(folder: Path) -> set[str]:
    """The names directly in a folder of the store; empty where it lies in no working copy."""
    found = _of(folder)
    if found is None:
        return set()
    root, inside = found
    top = _file_system(root)[1] + (f"/{inside}" if inside else "")
    return {info.base_name for info in _listed(root, top, recursive=False)}


def remove(folder: Path) -> None:
    """Removes a folder from the store, where it lies in a working copy."""
    found = _of(folder)
    if found is not None and found[1]:
        root, inside = found
        system, prefix = _file_system(root)
        _patiently(root, lambda: system.delete_dir(f"{prefix}/{inside}"))


def _of(path: Path) -> tuple[str, str] | None:
    """The store's URL and the path in it; None for a folder that is not a working copy."""
    parts = path.absolute().parts
    if _COPIES not in parts[:-1]:
        return None
    at = parts.index(_COPIES) + 1
    return unquote(parts[at]), "/".join(parts[at + 1 :])


@cache
def _file_system(root: str) -> tuple[FileSystem, str]:
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


def _listed(root: str, top: str, *, recursive: bool) -> list[FileInfo]:
    from pyarrow import fs

    system, _ = _file_system(root)
    select = fs.FileSelector(top, recursive=recursive, allow_not_found=True)
    return list(_patiently(root, lambda: system.get_file_info(select)))


def _get(root: str, info: FileInfo, path: Path) -> None:
    """Downloads a file, unless the one here is the same, or newer and not uploaded yet."""
    if path.is_file():
        here = path.stat()
        if (here.st_mtime_ns, here.st_size) == (info.mtime_ns, info.size):
            return
        if here.st_mtime_ns > info.mtime_ns:
            return
    path.parent.mkdir(parents=True, exist_ok=True)
    partly = path.with_name(f".{path.name}.{os.getpid()}.part")

    def copy() -> None:
        with _file_system(root)[0].open_input_stream(info.path) as stream, partly.open("wb") as to:
            while piece := stream.read(1 << 22):
                to.write(piece)

    try:
        _patiently(root, copy)
        _keep_time(partly, info)
        partly.replace(path)
    finally:
        partly.unlink(missing_ok=True)


def _keep_time(path: Path, info: Any) -> None:
    os.utime(path, ns=(info.mtime_ns, info.mtime_ns))


def _patiently(root: str, attempt: Callable[[], _Result]) -> _Result:
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
