"""What a check has seen, of a machine or of data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding"]


@dataclass(frozen=True)
class Finding:
    """One thing that was looked at.

    Attributes:
        level: ok; note, what may matter; missing or damaged, of data; or unfit, what runs on this
            machine will fail at.
        what: the observation.
        mend: what to do, empty where nothing need be done.
    """

    level: Literal["ok", "note", "missing", "damaged", "unfit"]
    what: str
    mend: str = ""
