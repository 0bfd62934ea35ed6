"""A problem in a cluster file: where it is, which rule it breaks, how to mend it."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

__all__ = ["Problem"]


@dataclass(frozen=True, order=True)
class Problem:
    """One problem of a cluster file.

    Attributes:
        file: the file.
        line: the line of the file, from 1.
        rule: the short name of the broken rule, such as `idle-timeout`.
        what: what is wrong.
        mend: what to write instead.
    """

    file: Path
    line: int
    rule: str
    what: str
    mend: str

    def __str__(self) -> str:
        return f"{self.file}:{self.line}: {self.what} [{self.rule}]; {self.mend}"
