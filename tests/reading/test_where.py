"""Rows by a condition that a user types: right, and never executed."""

from __future__ import annotations

import pandas as pd
import pytest

from famus_ray import UserError
from famus_ray.reading.where import rows_where, sorted_by

FRAME = pd.DataFrame(
    {
        "trial": [0, 1, 2, 3],
        "state": pd.Series(["completed", "pruned", "failed", "completed"], dtype="category"),
        "value": [0.95, 0.5, None, 0.9],
        "error": pd.Series([None, None, "boom", None], dtype="string"),
        "started": pd.to_datetime(["2026-01-01", "2026-02-01", "2026-03-01", None], utc=True),
        "param.meta.k": pd.Series([3, None, 5, 7], dtype="Int64"),
        "param.meta.flag": pd.Series([True, None, False, True], dtype="boolean"),
        "param.rate": pd.Series(["null", 0.1, 0.4, None], dtype=object),
        "cost.time/step": [0.1, 0.2, 0.3, 0.4],
    }
)
CONDITIONS = {
    "state == 'completed' and accuracy > 0.9": [0],
    "state == 'completed' and value >= 0.9": [0, 3],
    "state != 'completed'": [1, 2],
    "state in ['pruned', 'failed']": [1, 2],
    "state not in ('pruned', 'failed')": [0, 3],
    "not (state == 'pruned' or value > 0.92)": [2, 3],
    "value < 1": [0, 1, 3],
    "value != 0.5": [0, 3],  # what is empty is not compared
    "value == None": [2],
    "error != None": [2],
    "0.5 < value <= 0.95": [0, 3],
    "0.9 < value": [0],
    "meta.k > 3": [2, 3],
    "param.meta.k == 3": [0],
    "meta.k != 3": [2, 3],
    "meta.flag": [0, 3],
    "not meta.flag": [1, 2],
    "meta.flag == False": [2],
    "rate == 'null'": [0],
    "rate > 0.2": [2],
    "time/step < 0.25 and cost.time/step > 0.15": [1],
    "started >= '2026-02-01'": [1, 2],
    "value > -1": [0, 1, 3],
    "value > cost.time/step": [0, 1, 3],
}


@pytest.mark.parametrize(("condition", "rows"), CONDITIONS.items(), ids=CONDITIONS)
def test_rows_that_a_condition_chooses(condition, rows):
    assert rows_where(FRAME, condition)["trial"].tolist() == rows


@pytest.mark.parametrize(
    ("condition", "found"),
    {
        "__import__('os').system('touch here')": "is not allowed",
        "value.__class__ == 1": "no such column",
        "[x for x in (1,)] == 1": "is not allowed",
        "(lambda: 1)() == 1": "is not allowed",
        "value + 1 > 2": "is not allowed",
        "value[0] > 2": "is not allowed",
        "f'{value}' == 'a'": "is not allowed",
        "state": "says neither yes nor no",
        "valu > 1": "did you mean 'value'",
        "state > 3": "state holds words, 3 is a number",
        "value == 'a'": "value is a number, 'a' is a word",
        "started > 'soon'": "started is a time, 'soon' is none",
        "1 < 2": "there must be a column",
        "state in 'completed'": "must be a list",
        "state is None": "a condition has columns",
        "value >": "invalid syntax",
        "": "invalid syntax",
        "(" * 1500: "a condition has columns",
        "not " * 480 + "meta.flag": None,
        "value > 1 or " * 300: "longer than 2000 letters",
    }.items(),
    ids=lambda text: str(text)[:30],
)
def test_what_is_no_condition_is_refused(condition, found, tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    if found is None:  # deep, and right
        assert rows_where(FRAME, condition)["trial"].tolist() == [0, 3]
    else:
        with pytest.raises(UserError, match=found):
            rows_where(FRAME, condition)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    ("column", "order"),
    [
        ("value", [1, 3, 0, 2]),
        ("-accuracy", [0, 3, 1, 2]),
        ("-meta.k", [3, 2, 0, 1]),
        ("state", [0, 3, 2, 1]),
        ("rate", [1, 2, 0, 3]),
        ("-started", [2, 1, 0, 3]),
    ],
)
def test_rows_are_sorted_with_empty_cells_last(column, order):
    assert sorted_by(FRAME, column)["trial"].tolist() == order
