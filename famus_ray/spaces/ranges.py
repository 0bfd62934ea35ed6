"""Entries of a search space.

Searched are real numbers, whole numbers and choices. A constant and a multiple of another setting
are not searched but set. Every entry may have a condition.
"""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, model_validator

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

__all__ = [
    "Choice",
    "Constant",
    "Derived",
    "FloatRange",
    "IntRange",
    "Range",
    "Searched",
    "listed",
    "scalar",
    "span",
]  # fmt: skip

_Number = int | float
_MOST_STEPS = 10**15  # with more, neighbouring values may be the same float


class _Conditional(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    when: dict[str, Any] = {}
    """Searched only where these other settings have these values (or one of a list)."""


class FloatRange(_Conditional):
    """A real number in [low, high]."""

    type: Literal["float"]
    low: float
    high: float
    log: bool = False
    step: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> FloatRange:
        _check_range(self.low, self.high, self.log, self.step)
        if self.step is not None and (self.high - self.low) / self.step > _MOST_STEPS:
            raise ValueError(f"step = {self.step}: too small for {self.low} to {self.high}")
        return self

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import FloatDistribution

        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def suggest(self, trial: Trial, name: str) -> Any:
        return trial.suggest_float(name, self.low, self.high, log=self.log, step=self.step)

    def ends(self) -> list[Any]:
        return [self.low, self.high]

    def contains(self, value: Any) -> bool:
        # The last step may end a rounding error above `high`.
        slack = 1e-9 * (self.high - self.low) if self.step else 0.0
        if not _is_number(value) or not self.low - slack <= value <= self.high + slack:
            return False
        places = (value - self.low) / (self.step or 1.0)
        return self.step is None or abs(places - round(places)) < 1e-6

    def count(self) -> int | None:
        """The number of values; None for a range without a step."""
        if self.step is None:
            return 1 if self.low == self.high else None
        return int((self.high - self.low) / self.step + 1e-9) + 1

    def at(self, place: int) -> Any:
        """The value at this place, from 0; the lowest first."""
        return self.low + place * (self.step or 0.0)


class IntRange(_Conditional):
    """A whole number in [low, high]."""

    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    step: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> IntRange:
        _check_range(self.low, self.high, self.log, None if self.step == 1 else self.step)
        return self

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import IntDistribution

        return IntDistribution(self.low, self.high, log=self.log, step=self.step)

    def suggest(self, trial: Trial, name: str) -> Any:
        return trial.suggest_int(name, self.low, self.high, log=self.log, step=self.step)

    def ends(self) -> list[Any]:
        """Lowest, second and highest value; the second one shows whether a multiple is required."""
        return list(dict.fromkeys([self.low, min(self.low + self.step, self.high), self.high]))

    def contains(self, value: Any) -> bool:
        is_whole = isinstance(value, int) and not isinstance(value, bool)
        return is_whole and value in range(self.low, self.high + 1, self.step)

    def count(self) -> int:
        """The number of values."""
        return (self.high - self.low) // self.step + 1

    def at(self, place: int) -> Any:
        """The value at this place, from 0; the lowest first."""
        return self.low + place * self.step


class Choice(_Conditional):
    """One of several values."""

    type: Literal["choice"]
    values: list[Any] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> Choice:
        if len({json.dumps(v) for v in self.values}) < len(self.values):
            raise ValueError(f"values = {self.values}: the same one twice")
        return self

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution([scalar(value) for value in self.values])

    def suggest(self, trial: Trial, name: str) -> Any:
        return trial.suggest_categorical(name, [scalar(value) for value in self.values])

    def ends(self) -> list[Any]:
        return self.values

    def contains(self, value: Any) -> bool:
        return scalar(value) in [scalar(v) for v in self.values]

    def count(self) -> int:
        """The number of values."""
        return len(self.values)

    def at(self, place: int) -> Any:
        """The value at this place, from 0, in the order of the file."""
        return scalar(self.values[place])


class Constant(_Conditional):
    """A fixed value, if its condition holds."""

    type: Literal["constant"]
    value: Any

    def ends(self) -> list[Any]:
        return [self.value]

    def contains(self, value: Any) -> bool:
        return bool(scalar(value) == scalar(self.value))


class Derived(_Conditional):
    """A multiple of another setting."""

    type: Literal["derived"]
    of: str
    """The other setting."""
    times: float = 1.0
    whole: bool = False
    """Rounded to a whole number."""

    def value(self, of: float) -> float:
        return round(of * self.times) if self.whole else of * self.times

    def ends(self) -> list[Any]:
        return []

    def contains(self, value: Any) -> bool:
        return True


Searched = FloatRange | IntRange | Choice
Range = Annotated[FloatRange | IntRange | Choice | Constant | Derived, Field(discriminator="type")]


def span(entry: Range) -> str:
    """The values of an entry as text for the user."""
    if isinstance(entry, Choice):
        return " | ".join(map(str, entry.values))
    if isinstance(entry, Constant):
        return str(entry.value)
    if isinstance(entry, Derived):
        return f"{entry.times:g} x {entry.of}"
    usual = type(entry).model_fields["step"].default
    step = "" if entry.step == usual else f", step {entry.step}"
    return f"{entry.low} … {entry.high}{step}{' (log)' if entry.log else ''}"


def listed(wanted: Any) -> list[Any]:
    """The values of a condition as a list."""
    return wanted if isinstance(wanted, list) else [wanted]


def scalar(value: Any) -> Any:
    """A setting's value as a scalar, as Optuna's categories must be: a list becomes JSON text."""
    return json.dumps(value) if isinstance(value, list) else value


def _is_number(value: Any) -> bool:
    return isinstance(value, int | float) and not isinstance(value, bool)


def _check_range(low: _Number, high: _Number, log: bool, step: _Number | None) -> None:
    if low > high:
        raise ValueError(f"low = {low} is above high = {high}")
    if log and low <= 0:
        raise ValueError(f"low = {low}: a log range must begin above 0")
    if log and step is not None:
        raise ValueError("log and step do not go together")
    if step is not None and low < high and step > high - low:
        raise ValueError(
            f"step = {step}: leaves one value, {low}; take at most {high - low}, or a constant"
        )
