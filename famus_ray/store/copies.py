"""Working copies and their stores: files up and down, as they are newer on one side."""

from __future__ import annotations

import os
import time
from pathlib import Path
from typing import TYPE_CHECKING, Any

from famus_ray.store.system import file_system, patiently
from famus_ray.store.urls import stands_for

if TYPE_CHECKING:
    from pyarrow.fs import FileInfo

__all__ = ["download", "names_in", "remove", "upload", "upload_folder"]

_HEAVY = ("checkpoints", "data", "ray")  # folders that only training needs

_FRESH = 3.0  # seconds in which a folder that was brought up to date is not looked at again
_seen: dict[Path, float] = {}  # when folders were brought up to date


def upload(path: Path) -> None:
    """Uploads the file `path`, if it lies in a working copy; its time becomes that of the store.

    Raises:
        StoreAway: the store did not answer for two minutes.
    """
    found = stands_for(path)
    if found is None:
        return
    root, name = found

    def put() -> FileInfo:
        system, prefix = file_system(root)
        target = f"{prefix}/{name}"
        with path.open("rb") as file, system.open_output_stream(target) as stream:
            while piece := file.read(1 << 22):
                stream.write(piece)
        return system.get_file_info(target)

    _keep_time(path, patiently(root, put))


def upload_folder(folder: Path) -> None:
    """Uploads all files in the folder, where it lies in a working copy."""
    for path in sorted(folder.rglob("*")) if stands_for(folder) else ():
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
    found = stands_for(folder)
    if found is None:
        return
    now = time.monotonic()
    if not heavy and any(now - _seen.get(at, -_FRESH) < _FRESH for at in (folder, *folder.parents)):
        return
    root, name = found
    top = file_system(root)[1] + (f"/{name}" if name else "")
    for info in _listed(root, top, recursive=True):
        below = info.path[len(top) + 1 :]
        if info.is_file and (heavy or not {*below.split("/")[:-1]} & {*_HEAVY}):
            _get(root, info, folder / below)
    _seen[folder] = time.monotonic()


def names_in(folder: Path) -> set[str]:
    """The names directly in a folder of the store; empty where it lies in no working copy."""
    found = stands_for(folder)
    if found is None:
        return set()
    root, name = found
    top = file_system(root)[1] + (f"/{name}" if name else "")
    return {info.base_name for info in _listed(root, top, recursive=False)}


def remove(folder: Path) -> None:
    """Removes a folder from the store, where it lies in a working copy."""
    found = stands_for(folder)
    if found is not None and found[1]:
        root, name = found
        system, prefix = file_system(root)
        patiently(root, lambda: system.delete_dir(f"{prefix}/{name}"))


def _listed(root: str, top: str, *, recursive: bool) -> list[FileInfo]:
    from pyarrow import fs

    system, _ = file_system(root)
    select = fs.FileSelector(top, recursive=recursive, allow_not_found=True)
    return list(patiently(root, lambda: system.get_file_info(select)))


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
        with file_system(root)[0].open_input_stream(info.path) as stream, partly.open("wb") as to:
            while piece := stream.read(1 << 22):
                to.write(piece)

    try:
        patiently(root, copy)
        _keep_time(partly, info)
        partly.replace(path)
    finally:
        partly.unlink(missing_ok=True)


def _keep_time(path: Path, info: Any) -> None:
    os.utime(path, ns=(info.mtime_ns, info.mtime_ns))
