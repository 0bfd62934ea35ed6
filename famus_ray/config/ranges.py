"""Ranges of a search space: a real number, a whole number or a choice, maybe on a condition;
and what is not searched but set: a constant on a condition, and a multiple of another setting."""

from __future__ import annotations

import json
from collections.abc import Mapping
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from famus_ray.config.resolve import load_yaml
from famus_ray.errors import UserError

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
    "describe_error",
    "joined",
    "listed",
    "parse_ranges",
    "read_ranges",
    "scalar",
]  # fmt: skip

_Number = int | float
_MOST_LISTED = 10**6
_TYPES = ("float", "int", "choice", "constant", "derived")


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
        return self

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import FloatDistribution

        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def suggest(self, trial: Trial, name: str) -> Any:
        return trial.suggest_float(name, self.low, self.high, log=self.log, step=self.step)

    def ends(self) -> list[Any]:
        return [self.low, self.high]

    def contains(self, value: Any) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high

    def steps(self) -> list[Any] | None:
        """All values, None where they cannot be listed."""
        if self.step is None:
            return [self.low] if self.low == self.high else None
        count = int((self.high - self.low) / self.step + 1e-9) + 1
        return [self.low + i * self.step for i in range(count)]


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
        return [self.low, self.high]

    def contains(self, value: Any) -> bool:
        return isinstance(value, int) and self.low <= value <= self.high

    def steps(self) -> list[Any] | None:
        """All values, None where they cannot be listed."""
        if (self.high - self.low) // self.step > _MOST_LISTED:
            return None
        return list(range(self.low, self.high + 1, self.step))


class Choice(_Conditional):
    """One of some values."""

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

    def steps(self) -> list[Any] | None:
        """All values."""
        return [scalar(value) for value in self.values]


class Constant(_Conditional):
    """One value, where its condition holds."""

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
_ADAPTER: TypeAdapter[Range] = TypeAdapter(Range)


def read_ranges(path: Path) -> dict[str, Range]:
    """The searched settings in a space's file, whether or not its preset can be found.

    Raises:
        UserError: an entry that is none.
    """
    entries, problems = parse_ranges(load_yaml(path).get("space"))
    if problems:
        raise UserError(joined(str(path), problems))
    return entries


def parse_ranges(content: Any) -> tuple[dict[str, Range], list[str]]:
    """The entries that are well formed, and what is wrong with the others."""
    entries: dict[str, Range] = {}
    problems: list[str] = []
    for name, entry in content.items() if isinstance(content, dict) else ():
        try:
            entries[str(name)] = _ADAPTER.validate_python(entry)
        except ValidationError as error:
            problems += [describe_error(details, str(name)) for details in error.errors()]
    return entries, problems


def listed(wanted: Any) -> list[Any]:
    """A condition's values: itself where it is a list."""
    return wanted if isinstance(wanted, list) else [wanted]


def scalar(value: Any) -> Any:
    """Optuna's categories are scalars: a list travels as its JSON text."""
    return json.dumps(value) if isinstance(value, list) else value


def describe_error(details: Mapping[str, Any], entry: str = "") -> str:
    """A pydantic error as `where: what`, in the words of the file."""
    # The discriminator adds the entry's type to the location; people did not write it there.
    parts = [str(p) for p in details["loc"] if not entry or p not in _TYPES]
    where = ".".join([*([entry] if entry else []), *parts])
    message = details["msg"].removeprefix("Value error, ")
    if details["type"] == "extra_forbidden":
        message = "unknown key"
    return f"{where}: {message[0].lower()}{message[1:]}"


def joined(name: str, problems: list[str]) -> str:
    """One message of a file's problems."""
    count = "" if len(problems) == 1 else f"{len(problems)} problems — "
    return f"{name}: {count}{'; '.join(problems)}"


def _check_range(low: _Number, high: _Number, log: bool, step: _Number | None) -> None:
    if low > high:
        raise ValueError(f"low = {low} is above high = {high}")
    if log and low <= 0:
        raise ValueError(f"low = {low}: a log range must begin above 0")
    if log and step is not None:
        raise ValueError("log and step do not go together")
