"""What can go wrong without being a bug: a user's mistake, or a training that diverges."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Sequence

__all__ = [
    "DataNotHere",
    "Diverged",
    "StudyStopped",
    "UserError",
    "did_you_mean",
    "first_line",
    "near",
    "suggestion",
]


class UserError(ValueError):
    """Something that the user can mend; the message names file, key, value and the mend.

    One clear message without a traceback, exit code 2.
    """


class DataNotHere(UserError):
    """The data set's folder is not on this machine, or was not given."""


class StudyStopped(RuntimeError):
    """A study ended early, or nothing in it succeeded; the message says why, and how to go on;
    exit code 1."""


class Diverged(RuntimeError):
    """The training loss is no longer finite; exit code 1."""


def first_line(error: BaseException) -> str:
    """The first line of its message, or its kind where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)


def near(word: str, known: Iterable[str], most: int = 1, cutoff: float = 0.6) -> list[str]:
    """The known names that `word` probably stands for, the closest first; maybe none.

    Args:
        cutoff: the least likeness, in [0, 1].
    """
    return difflib.get_close_matches(word, sorted(known), most, cutoff)


def suggestion(names: Sequence[str]) -> str:
    """The end of a message: `, did you mean 'a' or 'b'?`, empty without names."""
    return f", did you mean {' or '.join(map(repr, names))}?" if names else ""


def did_you_mean(word: str, known: Iterable[str]) -> str:
    """The end of a message that suggests the known name closest to `word`, if any is close."""
    return suggestion(near(word, known))
