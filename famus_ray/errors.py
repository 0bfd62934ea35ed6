"""What can go wrong without being a bug: a user's mistake, or a training that diverges."""

from __future__ import annotations

__all__ = ["Diverged", "UserError", "first_line"]


class UserError(ValueError):
    """Something that the user can mend; the message names file, key, value and the mend.

    One clear message without a traceback, exit code 2.
    """


class Diverged(RuntimeError):
    """The training loss is no longer finite; exit code 1."""


def first_line(error: BaseException) -> str:
    """The first line of its message, or its kind where it has none."""
    return next(iter(str(error).splitlines()), type(error).__name__)
