"""Atomic writing of files: under a temporary name, then renamed."""

from __future__ import annotations

import json
import os
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path
from typing import Any

from famus_ray.store import StoreAway, upload

__all__ = ["NotWritten", "replaced", "write_json", "write_text"]


class NotWritten(OSError):
    """A file could not be written: a full disk, a quota, a limit or a missing permission.

    `errno` is the cause, `filename` the file; an old file of that name is unchanged.
    """

    def __str__(self) -> str:
        return f"{self.filename}: cannot be written ({self.strerror})"


@contextmanager
def replaced(path: Path) -> Iterator[Path]:
    """A temporary path to write to, which replaces `path` atomically at the end.

    After an exception `path` is unchanged. A file in the working copy of an object store is
    uploaded.

    Raises:
        NotWritten: a full disk or another error of the system.
        StoreAway: the object store does not answer.
    """
    temporary = path.with_name(f".{path.name}.{os.getpid()}.tmp")
    try:
        path.parent.mkdir(parents=True, exist_ok=True)
        yield temporary
        with temporary.open("rb") as file:
            os.fsync(file.fileno())
        temporary.replace(path)
        upload(path)
    except StoreAway:
        raise
    except OSError as error:
        raise NotWritten(error.errno, error.strerror or str(error), str(path)) from error
    finally:
        with suppress(OSError):
            temporary.unlink(missing_ok=True)


def write_text(path: Path, text: str) -> None:
    """Writes a text file atomically."""
    with replaced(path) as temporary:
        temporary.write_text(text, encoding="utf-8")


def write_json(path: Path, content: Any) -> None:
    """Writes indented JSON atomically."""
    write_text(path, json.dumps(content, indent=2) + "\n")
