"""Rows of a frame by a condition that a user types; nothing in it is executed."""

from __future__ import annotations

import ast
import operator
from collections.abc import Callable, Mapping
from functools import reduce
from typing import Any

import pandas as pd

from famus_ray.errors import UserError, did_you_mean, first_line
from famus_ray.records.ledger import COST, PARAMETER

__all__ = ["column_named", "rows_where", "sorted_by"]

_LONGEST = 2000
_OPERATORS: Mapping[type[ast.cmpop], Callable[[Any, Any], Any]] = {
    ast.Eq: operator.eq, ast.NotEq: operator.ne, ast.Lt: operator.lt, ast.LtE: operator.le,
    ast.Gt: operator.gt, ast.GtE: operator.ge,
}  # fmt: skip
_WHAT = "a condition has columns, numbers, words in quotes, ==, !=, <, <=, >, >=, in, and, or, not"


def rows_where(frame: pd.DataFrame, condition: str) -> pd.DataFrame:
    """The rows for which the condition holds, such as `state == 'completed' and value > 0.9`.

    Settings and costs may be named without `param.` and `cost.`, and `accuracy` is the column
    `value`. No comparison with an empty cell holds, but `== None`, which asks for empty ones.

    Raises:
        UserError: no such column, or something else than comparisons of columns.
    """
    try:
        if len(condition) > _LONGEST:
            raise ValueError(f"longer than {_LONGEST} letters")
        tree = ast.parse(condition.strip(), mode="eval")
        return frame[_Rows(frame).holds(tree.body)]
    except UserError as error:
        raise UserError(f"--where {condition}: {error}") from error
    except (SyntaxError, ValueError, RecursionError, MemoryError) as error:
        said = error.msg if isinstance(error, SyntaxError) else first_line(error)
        raise UserError(f"--where {condition:.80}: {said}; {_WHAT}") from error


def sorted_by(frame: pd.DataFrame, column: str) -> pd.DataFrame:
    """The rows in the order of a column, `-column` for the highest first; empty cells last.

    Raises:
        UserError: no such column.
    """
    name = column_named(frame, column.removeprefix("-"))
    values = frame[name]
    if values.dtype == "category" or values.dtype == object:
        values = values.astype(object).map(str, na_action="ignore")
    highest_first = column.startswith("-")
    order = values.sort_values(ascending=not highest_first, kind="stable", na_position="last")
    return frame.loc[order.index]


def column_named(frame: pd.DataFrame, name: str) -> str:
    """The column of this name, which may be without its prefix.

    Raises:
        UserError: there is none; the message names those that there are.
    """
    short = {
        column.removeprefix(prefix): column
        for prefix in (COST, PARAMETER)
        for column in map(str, frame)
        if column.startswith(prefix)
    }
    known = {**short, **({"accuracy": "value"} if "value" in frame else {})}
    known |= {str(column): str(column) for column in frame}
    if name not in known:
        hint = did_you_mean(name, known) or f"; there are {', '.join(dict.fromkeys(known))}"
        raise UserError(f"{name}: no such column{hint}")
    return known[name]


class _Rows:
    """Tells for which rows of a frame a parsed condition holds."""

    def __init__(self, frame: pd.DataFrame) -> None:
        self._frame = frame

    def holds(self, node: ast.expr) -> pd.Series[bool]:
        if isinstance(node, ast.BoolOp):
            join = operator.and_ if isinstance(node.op, ast.And) else operator.or_
            joined: pd.Series[bool] = reduce(join, [self.holds(part) for part in node.values])
            return joined
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.Not):
            return ~self.holds(node.operand)
        if isinstance(node, ast.Compare):
            sides = [node.left, *node.comparators]
            pairs = zip(sides, node.ops, sides[1:], strict=False)
            return reduce(operator.and_, [self._compared(*pair) for pair in pairs])
        value = self._value(node)
        if isinstance(value, pd.Series) and pd.api.types.is_bool_dtype(value):
            yes: pd.Series[bool] = value.astype("boolean").fillna(False).astype(bool)
            return yes
        raise UserError(f"{ast.unparse(node)}: says neither yes nor no; {_WHAT}")

    def _compared(self, left: ast.expr, sign: ast.cmpop, right: ast.expr) -> pd.Series[bool]:
        one, other = self._value(left), self._value(right)
        if not isinstance(one, pd.Series):
            if not isinstance(other, pd.Series) or isinstance(sign, ast.In | ast.NotIn):
                raise UserError(f"{ast.unparse(left)}: there must be a column; {_WHAT}")
            mirrored = {ast.Lt: ast.Gt, ast.LtE: ast.GtE, ast.Gt: ast.Lt, ast.GtE: ast.LtE}
            return self._compared(right, mirrored.get(type(sign), type(sign))(), left)
        there = one.notna()
        if isinstance(sign, ast.In | ast.NotIn):
            if not isinstance(other, list):
                raise UserError(f"{ast.unparse(right)}: must be a list, such as ['a', 'b']")
            inside = one.isin(other)
            return inside if isinstance(sign, ast.In) else ~inside & there
        if other is None and isinstance(sign, ast.Eq | ast.NotEq):
            return ~there if isinstance(sign, ast.Eq) else there
        if type(sign) not in _OPERATORS:
            raise UserError(f"{_WHAT}")
        one, other = _comparable(one, other, ast.unparse(left))
        if isinstance(other, pd.Series):
            there &= other.notna()
        try:
            found = _OPERATORS[type(sign)](one.where(there), other)
        except TypeError as error:
            raise UserError(f"{ast.unparse(left)}: {first_line(error)}") from error
        yes: pd.Series[bool] = found.astype("boolean").fillna(False).astype(bool) & there
        return yes

    def _value(self, node: ast.expr) -> Any:
        if isinstance(node, ast.Constant) and isinstance(node.value, str | int | float | None):
            return node.value
        if isinstance(node, ast.UnaryOp) and isinstance(node.op, ast.USub):
            value = self._value(node.operand)
            if isinstance(value, int | float):
                return -value
        if isinstance(node, ast.List | ast.Tuple):
            values = [self._value(part) for part in node.elts]
            if not any(isinstance(value, pd.Series | list) for value in values):
                return values
        return self._frame[column_named(self._frame, _dotted(node))]


def _comparable(one: pd.Series[Any], other: Any, name: str) -> tuple[pd.Series[Any], Any]:
    """A column and what it is compared with, in types that compare.

    Raises:
        UserError: words with numbers.
    """
    if one.dtype.kind == "M" and isinstance(other, str):
        try:
            return one, pd.Timestamp(other).tz_localize("UTC")
        except (ValueError, TypeError) as error:
            raise UserError(f"{name} is a time, {other!r} is none ({first_line(error)})") from error
    is_number = pd.api.types.is_numeric_dtype(one)
    if is_number and isinstance(other, str):
        raise UserError(f"{name} is a number, {other!r} is a word")
    if one.dtype == object and isinstance(other, int | float):
        return pd.to_numeric(one, errors="coerce"), other
    if not is_number and isinstance(other, int | float) and one.dtype.kind != "M":
        raise UserError(f"{name} holds words, {other} is a number")
    if isinstance(other, pd.Series):
        other = other.astype(object) if other.dtype == "category" else other
    return one if is_number or one.dtype.kind == "M" else one.astype(object), other


def _dotted(node: ast.expr) -> str:
    """The name of a column, whose parts Python takes for attributes and a division."""
    if isinstance(node, ast.Name):
        return node.id
    if isinstance(node, ast.Attribute):
        return f"{_dotted(node.value)}.{node.attr}"
    if isinstance(node, ast.BinOp) and isinstance(node.op, ast.Div):
        return f"{_dotted(node.left)}/{_dotted(node.right)}"
    raise UserError(f"{ast.unparse(node)}: is not allowed; {_WHAT}")
