"""Arguments and options that several commands share."""

from __future__ import annotations

from typing import Annotated

import typer

__all__ = ["AsJson", "DryRun", "Name", "Overrides", "group"]

Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Such as meta.lr=1e-3.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would run, and run nothing.")]
Name = Annotated[str, typer.Argument(help="A run or study: its name under runs/, or its path.")]


def group(description: str) -> typer.Typer:
    """A group of commands, such as `presets`."""
    return typer.Typer(help=description, no_args_is_help=True)
