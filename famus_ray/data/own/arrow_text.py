"""Columns of Parquet as text: whatever type holds a path or a label."""

# Shapes: N rows.
from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import contextmanager
from pathlib import Path

import pyarrow as pa

from famus_ray.errors import UserError, first_line

__all__ = ["as_text", "is_binary", "reading_parquet"]

Where = Callable[[int], str]
"""The beginning of a message on a row: `/x/train.parquet: row 4`."""


@contextmanager
def reading_parquet(file: Path) -> Iterator[None]:
    """Raises errors of Arrow as one UserError that names the file."""
    try:
        yield
    except UserError:
        raise
    except Exception as error:  # damaged files raise errors of many types
        raise UserError(
            f"{file}: is damaged, cut or no Parquet file ({first_line(error)}); get it again"
        ) from error


def is_binary(kind: pa.DataType) -> bool:
    """Whether values of an Arrow type are bytes."""
    return bool(
        pa.types.is_binary(kind)
        or pa.types.is_large_binary(kind)
        or pa.types.is_fixed_size_binary(kind)
        or kind == pa.binary_view()
    )


def as_text(values: pa.Array, column: str, where: Where) -> pa.Array:
    """The values (N,) as large_string: whole numbers in decimals, missing and empty as null.

    Args:
        values: of any type that has one value a row.
        column: name of the column, for messages.
        where: the beginning of a message on one of these rows.

    Raises:
        UserError: a list or another value that is no name, or bytes that are not UTF-8.
    """
    if isinstance(values, pa.ExtensionArray):
        values = values.storage
    if pa.types.is_dictionary(values.type):
        values = values.dictionary_decode()
    if pa.types.is_nested(values.type):
        return _of_nested(values, column, where)
    if pa.types.is_floating(values.type):
        text = pa.array([_number(value) for value in values.to_pylist()], pa.large_string())
    elif is_binary(values.type):
        text = _of_bytes(values, column, where)
    else:
        text = values.cast(pa.large_string())
    text.validate(full=True)
    blank = pa.compute.equal(pa.compute.utf8_trim_whitespace(text), "")
    return pa.compute.if_else(blank, pa.scalar(None, pa.large_string()), text)


def _of_nested(values: pa.Array, column: str, where: Where) -> pa.Array:
    """Nulls alone; a value of several parts is refused."""
    for place, value in enumerate(values.to_pylist()):
        if value is not None:
            shown = repr(value)
            shown = shown if len(shown) <= 80 else f"{shown[:77]}..."
            raise UserError(
                f"{where(place)}: {column} {shown} holds several values; a row must have one "
                f"{'class' if column != 'path' else 'path'}, as text or a number"
            )
    return pa.nulls(len(values), pa.large_string())


def _of_bytes(values: pa.Array, column: str, where: Where) -> pa.Array:
    texts = []
    for place, value in enumerate(values.to_pylist()):
        try:
            texts.append(None if value is None else value.decode())
        except UnicodeDecodeError as error:
            raise UserError(
                f"{where(place)}: {column} {value[:40]!r} is not UTF-8 text; write it as text"
            ) from error
    return pa.array(texts, pa.large_string())


def _number(value: float | None) -> str | None:
    if value is None or value != value:
        return None
    return str(int(value)) if float(value).is_integer() else repr(float(value))
