"""The base class of the settings' sections, and the types of their values."""

from __future__ import annotations

import unicodedata
from collections import Counter
from pathlib import Path
from typing import Annotated, Any, TypeVar

from pydantic import AfterValidator, BaseModel, BeforeValidator, ConfigDict, Field

from famus_ray.store import is_url

__all__ = [
    "AbsolutePath",
    "Distinct",
    "Epochs",
    "Float",
    "Int",
    "LearningRate",
    "Number",
    "Section",
    "Seed",
    "Temperature",
    "Text",
    "Weight",
]

T = TypeVar("T")


def _number(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


def _plain(value: str) -> str:
    if any(unicodedata.category(letter) in ("Cc", "Cs") for letter in value):
        raise ValueError("holds a line break, a tab or another character that is not printed")
    return value


def _distinct(values: tuple[T, ...]) -> tuple[T, ...]:
    if twice := [value for value, count in Counter(values).items() if count > 1]:
        raise ValueError(f"has {twice[0]} twice")
    return values


def _absolute(value: Any) -> Any:
    """The absolute path: Ray's workers have another working directory. A URL stays as it is."""
    if not isinstance(value, str) or not value or is_url(value):
        return value
    try:
        return str(Path(value).expanduser().absolute())
    except RuntimeError as error:  # ~nobody
        raise ValueError("begins with a user's home that is not known here") from error


# In Annotated the bounds must come before this validator: otherwise the JSON Schema lacks them.
Number = BeforeValidator(_number)

Float = Annotated[float, Number]
Int = Annotated[int, Number]
Seed = Annotated[int, Field(ge=0, lt=2**32), Number]

# The upper bounds are far above values in use: they catch slips, and numbers that overflow.
Epochs = Annotated[int, Field(ge=0, le=1_000_000), Number]
LearningRate = Annotated[float, Field(gt=0, le=1e30), Number]  # within float32, up to 3e38
Temperature = Annotated[float, Field(ge=1e-3, le=1e4), Number]  # exp(1 / T) is within float64
Weight = Annotated[float, Field(ge=0, le=1e9), Number]

Text = Annotated[str, Field(min_length=1, max_length=1000), AfterValidator(_plain)]
AbsolutePath = Annotated[
    str, BeforeValidator(_absolute), Field(min_length=1, max_length=4000), AfterValidator(_plain)
]
Distinct = AfterValidator(_distinct)


class Section(BaseModel):
    """Frozen, without unknown keys, each field explained by the text below it."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        coerce_numbers_to_str=True,  # run.name=2024 is a name
    )
