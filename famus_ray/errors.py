"""Errors that are not bugs, such as a user's mistake or divergence, and helpers for messages."""

from __future__ import annotations

import difflib
import re
from collections.abc import Iterable, Sequence

__all__ = [
    "DataNotHere",
    "Diverged",
    "NotInstalled",
    "StudyStopped",
    "UserError",
    "did_you_mean",
    "first_line",
    "last_line",
    "near",
    "not_installed",
    "suggestion",
]


_OF_TRAINING = {
    "PIL", "optuna", "psutil", "ray", "safetensors", "tensorboardX", "timm", "torch", "torchvision",
}  # fmt: skip


class UserError(ValueError):
    """A mistake that the user can fix; the message names file, key, value and the fix.

    Commands print the message without a traceback; exit code 2.
    """


class DataNotHere(UserError):
    """The data set's folder is missing on this machine, or was not given."""


class StudyStopped(RuntimeError):
    """A study stopped early, or no trial succeeded; exit code 1.

    The message says why, and how to continue.
    """


class NotInstalled(UserError):
    """A part of famus_ray that is not installed; the message says what to type."""


class Diverged(RuntimeError):
    """The training loss is no longer finite; exit code 1."""


def first_line(error: BaseException) -> str:
    """The first line of an error's message, or its type if there is no message."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def not_installed(error: ModuleNotFoundError, what: str) -> NotInstalled | None:
    """The error to raise where a package of the extra `train` is missing; None for another one.

    Args:
        error: of the import.
        what: the command or function that needs it.
    """
    package = (error.name or "").partition(".")[0]
    if package not in _OF_TRAINING:
        return None
    return NotInstalled(
        f"{what}: needs {package}, and what is installed here only reads; "
        "pip install 'famus-ray[train]'"
    )


def last_line(error: str | None) -> str:
    """The last line of a traceback, without the module of the exception's type."""
    lines = (error or "").strip().splitlines() or ["no reason given"]
    return re.sub(r"^[\w.]*\.(?=\w+: )", "", lines[-1])


def near(word: str, known: Iterable[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """The known names closest to `word`, the closest first; may be empty.

    Args:
        word: a name with a possible typing error.
        known: valid names.
        most: largest number of names to return.
        cutoff: least similarity, in [0, 1].
    """
    return difflib.get_close_matches(word, sorted(known), most, cutoff)


def suggestion(names: Sequence[str]) -> str:
    """The end of a message: `, did you mean 'a' or 'b'?`; empty without names."""
    return f", did you mean {' or '.join(map(repr, names))}?" if names else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message that suggests the known name closest to `word`; empty if none is."""
    return suggestion(near(word, known))
