"""What can go wrong without being a bug: a user's mistake, or a training that diverges."""

from __future__ import annotations

__all__ = ["Diverged", "UserError"]


class UserError(ValueError):
    """Something that the user can mend; the message names file, key, value and the mend.

    One clear message without a traceback, exit code 2.
    """


class Diverged(RuntimeError):
    """The training loss is no longer finite; exit code 1."""
