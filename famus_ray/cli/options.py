"""Arguments and options that several commands share."""

from __future__ import annotations

import os
from pathlib import Path
from typing import Annotated

import typer

from famus_ray.errors import UserError

__all__ = [
    "AsJson",
    "DryRun",
    "Name",
    "OrResume",
    "Overrides",
    "check_target",
    "check_writable",
    "group",
]

Overrides = Annotated[
    list[str] | None,
    typer.Argument(
        metavar="[KEY=VALUE]...",
        help="Settings, such as meta.lr=1e-3. Of the same one twice the last counts.",
    ),
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would run, and run nothing.")]
OrResume = Annotated[
    bool,
    typer.Option(
        "--or-resume",
        help="Start what is not there, go on with what was cut, end with 0 what is finished.",
    ),
]
Name = Annotated[str, typer.Argument(help="A run or study: its name under runs/, or its path.")]


def check_target(to: Path, *endings: str) -> None:
    """Raises UserError if the file `to` cannot be written; to be called before any work."""
    if to.suffix not in endings:
        *others, last = endings
        raise UserError(f"{to}: must end in {', '.join(others)} or {last}")
    if to.is_dir():
        raise UserError(f"{to}: is a folder")
    if not to.parent.is_dir():
        raise UserError(f"{to}: there is no folder {to.parent}; make it first")
    check_writable(to.parent, to)


def check_writable(folder: Path, file: Path) -> None:
    """Raises UserError if no file can be created in the folder, for example a read-only one."""
    if not os.access(folder, os.W_OK | os.X_OK):
        raise UserError(f"{file}: the folder {folder} cannot be written to; choose another")


def group(description: str) -> typer.Typer:
    """A group of commands, such as `presets`."""
    return typer.Typer(help=description, no_args_is_help=True)
