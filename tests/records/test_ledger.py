"""The ledger of a study tells the truth about every trial, whatever happened."""

import warnings

import pandas as pd
import pytest

from famus_ray.records.ledger import append_event, holding, read_events, trials_table
from famus_ray.records.tables import TRIALS, read_table, write_table


@pytest.fixture
def ledger(tmp_path):
    return tmp_path / "ledger.jsonl"


def start(ledger, trial_id, **params):
    append_event(ledger, "started", trial_id, params={"meta.lr": 0.1, **params})


def report(ledger, trial_id, epoch, value):
    append_event(
        ledger, "reported", trial_id, epoch=epoch, value=value, seconds=2.0 * epoch, node="10.0.0.1"
    )


def a_study(ledger):
    """A trial of each state, in the order of the suggestions a, b, c, d."""
    for trial_id in "abcd":
        start(ledger, trial_id)
    report(ledger, "b", 1, 0.3)
    report(ledger, "a", 1, 0.5)
    append_event(ledger, "pruned", "b")
    report(ledger, "a", 2, 0.4)
    report(ledger, "d", 1, 0.2)
    append_event(ledger, "failed", "c", error="Traceback\nValueError: no")
    append_event(ledger, "completed", "a")


def test_every_trial_has_its_state(ledger):
    a_study(ledger)
    table = trials_table(ledger)
    assert table["trial_id"].tolist() == ["a", "b", "c", "d"]
    assert table["trial"].tolist() == [0, 1, 2, 3]
    assert table["state"].tolist() == ["completed", "pruned", "failed", "interrupted"]
    assert trials_table(ledger, live=True)["state"].tolist()[3] == "running"


def test_a_row_holds_the_best_value_and_the_last_epoch(ledger):
    a_study(ledger)
    a, _, c, d = trials_table(ledger).to_dict("records")
    assert (a["value"], a["epochs"], a["seconds"], a["node"]) == (0.5, 2, 4.0, "10.0.0.1")
    assert a["started"] <= a["ended"]
    assert a["started"].utcoffset().total_seconds() == 0
    assert pd.isna(a["error"])
    assert c["error"] == "Traceback\nValueError: no"
    assert pd.isna(c["value"])
    assert (c["epochs"], d["value"]) == (0, 0.2)
    assert pd.isna(d["ended"])


def test_a_setting_that_a_trial_does_not_have_is_empty(ledger):
    start(ledger, "a", **{"meta.k": 3})
    start(ledger, "b", **{"meta.grouping": "layer"})
    table = trials_table(ledger)
    assert table["param.meta.k"].tolist()[0] == 3
    assert table["param.meta.k"].isna().tolist() == [False, True]
    assert table["param.meta.grouping"].isna().tolist() == [True, False]


def test_a_line_cut_off_at_any_place_is_left_out(ledger):
    a_study(ledger)
    whole = ledger.read_bytes()
    before = len(whole.splitlines(keepends=True)[-1])
    for cut in range(1, before):
        ledger.write_bytes(whole[: len(whole) - before + cut])
        a = trials_table(ledger).iloc[0]
        # The last event, without its line break at most, says that a is completed.
        assert a["state"] == ("completed" if cut == before - 1 else "interrupted")
        assert a["value"] == 0.5


def test_a_damaged_line_is_named_and_one_that_a_crash_cut_off_is_not(ledger):
    a_study(ledger)
    table = trials_table(ledger)
    with holding(ledger):
        pass
    lines = ledger.read_text().splitlines()
    crash = [*lines[:-1], '{"time": "2026-', lines[-1]]  # cut off, and then opened again
    ledger.write_text("\n".join(crash))
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        pd.testing.assert_frame_equal(trials_table(ledger), table)
    ledger.write_text("\n".join(["\0" * 40, *lines[1:5], "[]", *lines[6:]]))
    with pytest.warns(UserWarning, match=r"ledger\.jsonl: .* left out: line 1, 6$"):
        assert trials_table(ledger)["trial_id"].tolist() == ["b", "c", "d"]


def test_a_study_without_trials_has_an_empty_table(ledger):
    assert list(read_events(ledger)) == []
    table = trials_table(ledger)
    assert len(table) == 0
    assert list(table.columns) == list(TRIALS.columns)


def test_the_table_can_be_kept_as_a_file(ledger, tmp_path):
    a_study(ledger)
    table, path = trials_table(ledger), tmp_path / "trials.parquet"
    write_table(path, TRIALS, table)
    pd.testing.assert_frame_equal(read_table(path, TRIALS), table)
