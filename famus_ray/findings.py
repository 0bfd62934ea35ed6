"""Findings of a check of a machine or of data."""

from __future__ import annotations

from dataclasses import dataclass
from typing import Literal

__all__ = ["Finding"]


@dataclass(frozen=True)
class Finding:
    """One finding of a check.

    Attributes:
        level: ok; note: it may matter; missing or damaged: of data; unfit: runs on this machine
            will fail.
        what: the observation.
        mend: advice; empty if nothing needs to be done.
    """

    level: Literal["ok", "note", "missing", "damaged", "unfit"]
    what: str
    mend: str = ""
