"""Runs and studies read from their folders."""

import pandas as pd
import pytest

from famus_ray import UserError, load_curves, load_trials, summarise
from famus_ray.ledger import append_event
from famus_ray.reading.figures import trial_curves_figure
from famus_ray.reading.trials import best_trial
from famus_ray.tables import CURVES, write_table


def curves_of(**metrics):
    """Metrics by name with `__` for the slash, one value an epoch."""
    return pd.DataFrame(
        [
            (epoch, name.replace("__", "/"), value)
            for name, values in {"time__step": [0.1] * 20, **metrics}.items()
            for epoch, value in enumerate(values[: max(map(len, metrics.values()))], start=1)
        ],
        columns=list(CURVES.columns),
    )


def add_trial(study, trial_id, state, values=(), **params):
    """A trial in the ledger, and its curves where it reported."""
    ledger = study / "ledger.jsonl"
    append_event(ledger, "started", trial_id, params=params)
    for epoch, value in enumerate(values, start=1):
        append_event(ledger, "reported", trial_id, epoch=epoch, value=value, seconds=1.0)
    if state is not None:
        append_event(ledger, state, trial_id)
    if values:
        frame = curves_of(validation__top1=list(values))
        write_table(study / "trials" / trial_id / "curves.parquet", CURVES, frame)


@pytest.fixture
def study(tmp_path):
    path = tmp_path / "study"
    path.mkdir()
    add_trial(path, "x7", "completed", [0.2, 0.6, 0.5], **{"meta.lr": 0.1, "meta.k": 3})
    add_trial(path, "b2", "pruned", [0.9], **{"meta.lr": 0.2})
    add_trial(path, "c9", "failed", **{"meta.lr": 0.3})
    add_trial(path, "a1", None, [0.1], **{"meta.lr": 0.4})
    return path


def test_trials_are_numbered_in_the_order_of_the_ledger(study):
    trials = load_trials(study)
    assert trials["trial_id"].tolist() == ["x7", "b2", "c9", "a1"]
    assert trials["state"].tolist() == ["completed", "pruned", "failed", "interrupted"]
    assert trials["param.meta.lr"].tolist() == [0.1, 0.2, 0.3, 0.4]


def test_curves_of_a_study_are_those_of_all_trials_that_reported(study):
    curves = load_curves(study)
    values = curves[curves["metric"] == "validation/top1"].groupby("trial")["value"].agg(list)
    assert values.to_dict() == {0: [0.2, 0.6, 0.5], 1: [0.9], 3: [0.1]}


def test_curves_of_a_run_carry_its_name(study):
    assert set(load_curves(study / "trials" / "x7")["trial"]) == {"x7"}


def test_the_best_trial_is_a_completed_one(study):
    best = best_trial(study)
    assert (best.number, best.value) == (0, 0.6)
    assert best.settings == {"meta.lr": 0.1, "meta.k": 3}
    assert type(best.settings["meta.k"]) is int  # pandas widened it: the others have none


def test_the_figure_shows_the_same_best_trial(study):
    figure = trial_curves_figure(load_curves(study), load_trials(study), "validation/top1")
    (line,) = [line for line in figure.data if line.name == "best trial"]
    assert list(line.y) == [0.2, 0.6, 0.5]


def test_without_a_completed_trial_the_best_is_of_any_state(tmp_path):
    add_trial(tmp_path, "a", "pruned", [0.3])
    add_trial(tmp_path, "b", None, [0.4])
    assert best_trial(tmp_path).number == 1


def test_without_a_value_there_is_no_best_trial(tmp_path):
    add_trial(tmp_path, "a", "failed")
    assert best_trial(tmp_path) is None
    with pytest.raises(UserError, match="no trial has finished an epoch"):
        load_curves(tmp_path)


def test_a_folder_that_is_none_is_named_with_those_that_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "digits-famus").mkdir(parents=True)
    with pytest.raises(UserError, match=r"nope: no such run or study; in runs .* digits-famus"):
        load_trials("nope")


def test_a_study_is_found_by_its_name_under_runs(study, monkeypatch):
    monkeypatch.chdir(study.parent)
    (study.parent / "runs").mkdir()
    study.rename(study.parent / "runs" / "one")
    assert len(load_trials("one")) == 4


def test_the_best_epoch_is_picked_on_validation_not_on_test():
    curves = curves_of(validation__top1=[0.3, 0.8, 0.5], test__top1=[0.4, 0.6, 0.9])
    summary = summarise(curves)
    assert (summary.best_epoch, summary.best, summary.selected_on) == (2, 0.6, "validation")
    on_test = summarise(curves, "test")
    assert (on_test.best_epoch, on_test.best, on_test.selected_on) == (3, 0.9, "test")


def test_of_equal_epochs_the_latest_is_the_best():
    validation, test = [0.3, 0.8, 0.8, 0.1], [0.1, 0.2, 0.3, 0.4]
    summary = summarise(curves_of(validation__top1=validation, test__top1=test))
    assert (summary.best_epoch, summary.best) == (3, 0.3)


def test_last10_is_the_mean_of_the_last_ten_epochs():
    test = [i / 100 for i in range(1, 13)]
    summary = summarise(curves_of(validation__top1=test, test__top1=test))
    assert summary.last10 == pytest.approx(sum(test[2:]) / 10)
    assert (summary.epochs, summary.seconds_per_step) == (12, pytest.approx(0.1))


def test_rows_in_any_order_give_the_same_summary():
    curves = curves_of(validation__top1=[0.3, 0.8, 0.8, 0.1], test__top1=[0.1, 0.2, 0.3, 0.4])
    assert summarise(curves.sample(frac=1, random_state=0)) == summarise(curves)
