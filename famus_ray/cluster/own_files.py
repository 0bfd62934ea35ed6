"""The user's own files that a command names: modules of networks and the like, and YAML files."""

from __future__ import annotations

import ast
import re
from collections.abc import Iterator, Sequence
from pathlib import Path, PurePosixPath

from famus_ray.errors import UserError

__all__ = ["own_files"]

_LARGEST = 10 * 2**20  # bytes in all
_IMPORT_PATH = re.compile(r"(?<![\w.:/])([A-Za-z_][\w.]*):[A-Za-z_]\w*")
_YAML = re.compile(r"[^\s'\"=,\[\]]+\.ya?ml\b")
_PACKAGE = "famus_ray"  # it is on the machines, and in the working directory of its developers


def own_files(words: Sequence[str], folder: Path) -> list[str]:
    """The files that a command needs from a folder, by their paths in it, sorted.

    They are the modules of import paths such as `mine.nets:small`, what these import from the
    folder, and YAML files; also those that a YAML file names. Data and runs are not among them.

    Args:
        words: of the command.
        folder: the working directory.

    Raises:
        UserError: a file that lies outside of the folder, or more than 10 MB.
    """
    found: set[str] = set()
    waiting = [file for word in words for file in _named_in(word, folder)]
    while waiting:
        if (name := waiting.pop()) not in found:
            found.add(name)
            waiting += _needed_by(folder / name, folder)
    _check_size(sorted(found), folder)
    return sorted(found)


def _named_in(text: str, folder: Path) -> Iterator[str]:
    """The files that a word of a command, or the text of a YAML file, names."""
    for path in _YAML.findall(text):
        if PurePosixPath(path).is_absolute() or not (folder / path).is_file():
            continue  # on the machines, if anywhere
        if not (folder / path).resolve().is_relative_to(folder.resolve()):
            raise UserError(f"{path}: lies outside of {folder}, from where files are sent along")
        yield PurePosixPath(path).as_posix()
    for module in _IMPORT_PATH.findall(text):
        yield from _of_module(module, folder)


def _of_module(module: str, folder: Path) -> Iterator[str]:
    """The files of a module and of the packages that it is in; none if it is not in the folder."""
    parts = module.split(".")
    if parts[0] == _PACKAGE:
        return
    for length in range(1, len(parts) + 1):
        place = PurePosixPath(*parts[:length])
        for file in (place.with_suffix(".py"), place / "__init__.py"):
            if (folder / file).is_file():
                yield file.as_posix()


def _needed_by(file: Path, folder: Path) -> Iterator[str]:
    """The files in the folder that a file names or imports."""
    text = file.read_text(encoding="utf-8", errors="replace")
    if file.suffix != ".py":
        yield from _named_in(text, folder)
        return
    try:
        tree = ast.parse(text)
    except SyntaxError as error:
        raise UserError(f"{file}:{error.lineno}: no Python: {error.msg}") from error
    inside = file.relative_to(folder).parent.parts
    for node in ast.walk(tree):
        if isinstance(node, ast.Import):
            modules = [alias.name for alias in node.names]
        elif isinstance(node, ast.ImportFrom):
            above = inside[: len(inside) + 1 - node.level] if node.level else ()
            module = ".".join((*above, *filter(None, [node.module])))
            modules = [module, *(f"{module}.{alias.name}".strip(".") for alias in node.names)]
        else:
            continue
        for module in filter(None, modules):
            yield from _of_module(module, folder)


def _check_size(files: Sequence[str], folder: Path) -> None:
    sizes = {file: (folder / file).stat().st_size for file in files}
    if sum(sizes.values()) > _LARGEST:
        largest = max(sizes, key=lambda file: sizes[file])
        raise UserError(
            f"{folder}: {len(sizes)} files with {sum(sizes.values()) / 2**20:.1f} MB would be sent "
            f"along, at most {_LARGEST / 2**20:.0f} are; the largest is {largest} "
            f"({sizes[largest] / 2**20:.1f} MB): put it where all machines see it"
        )
