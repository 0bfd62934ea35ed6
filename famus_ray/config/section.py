"""What every section of the settings is, and the kinds of values in it."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = ["AbsolutePath", "Float", "Int", "Section", "Seed"]


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


Float = Annotated[float, BeforeValidator(_no_bool)]
Int = Annotated[int, BeforeValidator(_no_bool)]
Seed = Annotated[Int, Field(ge=0, lt=2**32)]


def _absolute(value: Any) -> Any:
    """Workers of Ray run elsewhere: a path means the same there only in full."""
    return str(Path(value).expanduser().absolute()) if isinstance(value, str) else value


AbsolutePath = Annotated[str, BeforeValidator(_absolute)]


class Section(BaseModel):
    """Frozen, without unknown keys, each field explained by the text below it."""

    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        coerce_numbers_to_str=True,  # run.name=2024 is a name
    )
