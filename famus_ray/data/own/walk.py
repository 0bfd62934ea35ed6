"""The files under a folder that are images, and a count of what is left out and why."""

from __future__ import annotations

import os
from collections import Counter, defaultdict
from collections.abc import Iterator
from functools import cache
from pathlib import Path, PurePosixPath

from famus_ray.findings import Finding

__all__ = ["LeftOut", "folders_in", "images_below", "is_leftover"]

# Folders and files that operating systems, file servers and notebooks leave behind.
_LEFTOVER = {
    "__macosx", "@eadir", "$recycle.bin", "lost+found", "system volume information",
    "thumbs.db", "ehthumbs.db", "desktop.ini", "icon\r",
}  # fmt: skip
_SHOWN = 3


def is_leftover(name: str) -> bool:
    """Whether a file or folder is none of the user's: hidden, or left by a tool."""
    return name.startswith(".") or name.lower() in _LEFTOVER


class LeftOut:
    """A count of what a walk left out, by kind, with an example each."""

    def __init__(self) -> None:
        self._paths: defaultdict[str, list[str]] = defaultdict(list)
        self._counts: Counter[str] = Counter()

    def add(self, kind: str, path: str) -> None:
        """Counts a path; `kind` completes the sentence `3 ...`."""
        self._counts[kind] += 1
        if len(self._paths[kind]) < _SHOWN:
            self._paths[kind].append(path)

    def findings(self) -> Iterator[Finding]:
        """One note for each kind."""
        for kind, count in self._counts.items():
            examples = ", ".join(_printable(path) for path in self._paths[kind])
            more = ", ..." if count > len(self._paths[kind]) else ""
            yield Finding("note", f"left out: {count:,} {kind} ({examples}{more})")


def folders_in(folder: Path, left_out: LeftOut) -> list[str]:
    """The names of the folders in `folder`, sorted; by number if all are whole numbers."""
    found = []
    for entry in os.scandir(folder):
        if not entry.is_dir():
            continue
        if is_leftover(entry.name):
            left_out.add("leftovers of tools", entry.name)
        else:
            found.append(entry.name)
    is_numbered = all(name.isascii() and name.isdigit() for name in found)
    return sorted(found, key=lambda name: (int(name), name)) if is_numbered else sorted(found)


def images_below(root: Path, folder: str, left_out: LeftOut) -> list[str]:
    """The images in `root/folder` and the folders below it: sorted names under `root`.

    A file counts as an image by its ending; without an ending that Pillow knows, by its contents.
    """
    found = []
    waiting = [folder]
    while waiting:
        here = waiting.pop()
        for entry in os.scandir(root / here):
            name = f"{here}/{entry.name}" if here else entry.name
            if is_leftover(entry.name):
                left_out.add("leftovers of tools", name)
            elif entry.is_dir():
                waiting.append(name)
            elif not _is_text(name):
                left_out.add("files whose names are not UTF-8; rename them", name)
            elif _is_image(Path(entry.path)):
                found.append(name)
            else:
                ending = PurePosixPath(name).suffix.lower()
                left_out.add(f"{ending or 'other'} files, which are no images", name)
    return sorted(found)


@cache
def _endings() -> frozenset[str]:
    """The endings of images that Pillow reads here; not those of documents and films."""
    from PIL import Image

    Image.init()
    readable = {e for e, kind in Image.registered_extensions().items() if kind in Image.OPEN}
    return frozenset(readable - {".pdf", ".eps", ".ps", ".mpg", ".mpeg", ".h5", ".hdf", ".bufr"})


def _is_image(path: Path) -> bool:
    """Whether the file's ending or, with an unknown or no ending, its content is an image's."""
    from PIL import Image

    if path.suffix.lower() in _endings():
        return True
    try:
        with Image.open(path):
            return True
    except (OSError, ValueError, SyntaxError, Image.DecompressionBombError):
        return False


def _is_text(name: str) -> bool:
    """Whether a file's name is UTF-8, as the tables of a run need it."""
    return not any("\ud800" <= letter <= "\udfff" for letter in name)


def _printable(path: str) -> str:
    return os.fsencode(path).decode("utf-8", "backslashreplace")
