"""Constraints of a study: bounds on curves that its best trial keeps, as `time/step <= 0.05`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from famus_ray.errors import UserError

__all__ = ["Constraint", "read_constraint"]

_FORM = re.compile(r"\s*([A-Za-z][\w/.-]*)\s*(<=|>=)\s*([-+.\deE]+)\s*")


@dataclass(frozen=True)
class Constraint:
    """A curve that stays at or below a limit, or at or above it."""

    text: str
    curve: str
    limit: float
    is_upper: bool

    def excess(self, measured: float) -> float:
        """By how much `measured` breaks it; at most 0 where it keeps it."""
        if math.isnan(measured):
            return math.inf
        return measured - self.limit if self.is_upper else self.limit - measured


def read_constraint(text: str) -> Constraint:
    """The constraint that `text` says.

    Raises:
        UserError: it is not `curve <= number` or `curve >= number`.
    """
    found = _FORM.fullmatch(text)
    try:
        if found is None:
            raise ValueError(text)
        curve, sign, limit = found.groups()
        return Constraint(text, curve, float(limit), sign == "<=")
    except ValueError as error:
        raise UserError(
            f"study.constraints: '{text}' is not a bound on a curve, such as 'time/step <= 0.05' "
            "or 'validation/top5 >= 0.9'"
        ) from error
