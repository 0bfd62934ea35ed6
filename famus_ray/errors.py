"""A user's mistake: one clear message, no traceback, exit code 2."""

from __future__ import annotations

__all__ = ["UserError"]


class UserError(ValueError):
    """Something that the user can mend; the message names file, key, value and the mend."""
