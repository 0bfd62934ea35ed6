"""A lock on a run's folder: one process at a time trains there.

The lock is `flock` on the file `.lock` and ends with the process, so a crash leaves nothing to
clean up. On file systems without locks (some network ones) only one process can still create a
new folder.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import os
import socket
import time
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from datetime import UTC, datetime
from pathlib import Path

from famus_ray.errors import UserError

__all__ = ["LOCK", "claimed", "holder", "is_claimed"]

LOCK = ".lock"
_SIGNED_WITHIN = 20  # attempts to read the owner, who signs a moment after locking
_ATTEMPTS = 5  # `is_claimed` in another process holds the lock for a moment


@contextmanager
def claimed(path: Path, *, fresh: bool = False) -> Iterator[None]:
    """Inside, this is the only process that trains in the folder `path`.

    A missing folder is created, and removed again at the end if it is still empty.

    Args:
        path: the folder.
        fresh: the folder must not exist yet.

    Raises:
        UserError: another process has the lock; the message says which. Or the folder cannot be
            created.
        FileExistsError: `fresh`, and the folder exists.
    """
    made, descriptor = _take(path, fresh)
    try:
        yield
    finally:
        (path / LOCK).unlink(missing_ok=True)
        with suppress(OSError):  # it is not empty
            for folder in made:
                folder.rmdir()
        os.close(descriptor)


def is_claimed(path: Path) -> bool:
    """Whether a process is training in the folder now."""
    try:
        with (path / LOCK).open() as file:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
    except BlockingIOError:
        return True
    except OSError:  # no such file, or no locks
        return False
    return False


def holder(path: Path) -> str:
    """A description of the process that trains in the folder, for messages."""
    for _ in range(_SIGNED_WITHIN):
        try:
            who = json.loads((path / LOCK).read_text(encoding="utf-8"))
            return f"process {who['pid']} of {who['user']} on {who['host']} since {who['since']}"
        except (OSError, ValueError, KeyError, TypeError):
            time.sleep(0.03)
    return "another process"


def _take(path: Path, fresh: bool) -> tuple[list[Path], int]:
    """The folders that were created, the deepest first, and the descriptor of the locked file."""
    made: list[Path] = []
    try:
        while True:
            made = [*_make(path), *made]
            if fresh and path not in made:
                raise FileExistsError(path)
            try:
                descriptor = os.open(path / LOCK, os.O_RDWR | os.O_CREAT, 0o666)
            except FileNotFoundError:  # the process that created the folder has just removed it
                continue
            _lock(path, descriptor)
            if _is_same_file(path / LOCK, descriptor):
                break
            os.close(descriptor)
    except FileExistsError:
        raise
    except OSError as error:
        for folder in made:
            with suppress(OSError):
                folder.rmdir()
        raise UserError(f"{path}: cannot be written to ({error.strerror})") from error
    _sign(descriptor)
    return made, descriptor


def _sign(descriptor: int) -> None:
    """Writes the owner into the locked file; on a full disk the file stays empty."""
    now = datetime.now(UTC).isoformat(timespec="seconds")
    who = {"pid": os.getpid(), "host": socket.gethostname(), "user": _user(), "since": now}
    with suppress(OSError):
        os.truncate(descriptor, 0)
        os.pwrite(descriptor, json.dumps(who).encode(), 0)


def _make(path: Path) -> list[Path]:
    """Creates `path`; returns the folders that were missing, the deepest first."""
    made: list[Path] = []
    for attempt in range(_ATTEMPTS):
        try:
            for folder in (*reversed(path.parents), path):
                if not folder.is_dir():
                    with suppress(FileExistsError):
                        folder.mkdir()
                        made.insert(0, folder)
            if not path.is_dir():
                raise NotADirectoryError(20, "is a file, not a folder", str(path))
            return made
        except FileNotFoundError:  # another process that ended has removed a parent meanwhile
            if attempt == _ATTEMPTS - 1:
                raise
    raise AssertionError


def _lock(path: Path, descriptor: int) -> None:
    for attempt in range(_ATTEMPTS):
        try:
            fcntl.flock(descriptor, fcntl.LOCK_EX | fcntl.LOCK_NB)
            return
        except BlockingIOError as error:
            if attempt == _ATTEMPTS - 1:
                os.close(descriptor)
                raise UserError(f"{path}: in use: {holder(path)} is running it") from error
            time.sleep(0.03)
        except OSError:  # a file system without locks
            return


def _is_same_file(path: Path, descriptor: int) -> bool:
    """Whether the locked file still has this path: its last owner removes it at the end."""
    try:
        return os.path.samestat(path.stat(), os.fstat(descriptor))
    except FileNotFoundError:
        return False


def _user() -> str:
    try:
        return getpass.getuser()
    except (KeyError, OSError):  # a user without a name, as in a container
        return f"user {os.getuid()}"
