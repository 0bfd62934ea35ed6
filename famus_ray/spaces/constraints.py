"""Constraints of a study: bounds on curves that its best trial must keep: `time/step <= 0.05`."""

from __future__ import annotations

import math
import re
from dataclasses import dataclass

from famus_ray.errors import UserError, did_you_mean

__all__ = ["Constraint", "check_curve", "read_constraint"]

_FORM = re.compile(r"\s*([A-Za-z][\w/.-]*)\s*(<=|>=)\s*([-+.\deE]+)\s*")

# Curves with a value in every epoch; each gate has one of its own, `gates/<group>`.
_CURVES = (
    "validation/top1", "validation/top5", "validation/loss", "test/top1", "test/top5", "test/loss",
    "imagenet/top1", "imagenet/top5", "imagenet/loss", "train/loss", "train/lr", "time/step",
    "communication/bytes", "meta/loss", "gates/open", "weights/positive", "curriculum/trusted",
)  # fmt: skip


@dataclass(frozen=True)
class Constraint:
    """An upper or lower bound on a curve.

    Attributes:
        text: as it was written.
        curve: name of the curve.
        limit: the bound.
        is_upper: whether the curve must be at most `limit`; otherwise it must be at least.
    """

    text: str
    curve: str
    limit: float
    is_upper: bool

    def excess(self, measured: float) -> float:
        """The amount by which `measured` breaks the bound; 0 or less where it is kept."""
        if math.isnan(measured):
            return math.inf
        return measured - self.limit if self.is_upper else self.limit - measured


def read_constraint(text: str) -> Constraint:
    """The constraint written as `text`.

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


def check_curve(setting: str, curve: str) -> None:
    """Raises UserError unless runs have this curve in every epoch."""
    if curve not in _CURVES and not curve.startswith("gates/"):
        hint = did_you_mean(curve, _CURVES) or f"; there are {', '.join(_CURVES)}"
        raise UserError(f"{setting}: {curve} is not a curve of every epoch{hint}")
