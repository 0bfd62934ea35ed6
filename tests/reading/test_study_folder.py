"""Runs and studies read from their folders."""

import inspect
import re

import pandas as pd
import pytest

from famus_ray import (
    UserError,
    load_curves,
    load_labels,
    load_samples,
    load_trials,
    summarise,
)
from famus_ray.reading.figures import epochs_figure, slices_figure, trial_curves_figure
from famus_ray.reading.labels import rank_labels
from famus_ray.reading.loaded import load
from famus_ray.reading.pareto import pareto_front
from famus_ray.reading.ranking import ranked
from famus_ray.reading.trials import best_of
from famus_ray.reading.writing import write_frame
from famus_ray.records.folders import find_folder
from famus_ray.records.ledger import append_event
from famus_ray.records.tables import CURVES, SAMPLES, TRIALS, read_table, write_table


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
    best = load(study).best
    assert (best.number, best.value) == (0, 0.6)
    assert best.settings == {"meta.lr": 0.1, "meta.k": 3}
    assert type(best.settings["meta.k"]) is int  # pandas widened it: the others have none


def test_the_figure_shows_the_same_best_trial(study):
    figure = trial_curves_figure(load_curves(study), load_trials(study), "validation/top1")
    (line,) = [line for line in figure.data if line.name == "best trial"]
    assert list(line.y) == [0.2, 0.6, 0.5]


def trials_of(*rows):
    columns = ["trial", "replicates", "state", "value", "excess.loss <= 1"]
    table = pd.DataFrame(rows, columns=columns)
    return table.astype({"replicates": "Int64", "value": float})


def test_the_first_of_the_ranked_is_the_best_and_replicas_follow_their_leader():
    search = [
        (0, None, "completed", 0.7, 0.5), (1, None, "pruned", 0.8, 0), (2, None, "failed", None, 0),
        (3, None, "completed", 0.5, 0), (4, None, "completed", 0.6, -1),
    ]  # fmt: skip
    plain = trials_of(*search)
    assert ranked(plain)["trial"].tolist() == [4, 3, 1, 2, 0]
    again = [(5, 3, "completed", 0.65, 0), (6, 4, "completed", 0.55, 0), (7, 3, "running", None, 0)]
    both = trials_of(*search, *again)
    assert ranked(both)["trial"].tolist() == [3, 5, 7, 4, 6, 1, 2, 0]
    assert [best_of(table).number for table in (plain, both)] == [4, 3]


@pytest.mark.parametrize(("last", "step"), [(1, 1), (10, 1), (11, 2), (30, 5), (300, 50)])
def test_epochs_have_ticks_at_whole_numbers(last, step):
    axis = epochs_figure("top1", pd.Series([1, last])).layout.xaxis
    assert (axis.tick0, axis.dtick) == (0, step)


def test_a_log_axis_has_few_ticks_in_plain_numbers():
    trials = trials_of(*((i, None, "completed", 0.1 * i, 0) for i in range(3)))
    trials["param.meta.lr"] = [1e-4, 3e-3, 2e-2]
    axis = slices_figure(trials, "meta.lr", log=True).layout.xaxis
    assert list(axis.ticktext) == [
        "0.0001", "0.0003", "0.001", "0.003", "0.01", "0.03", "0.1", "0.3",
    ]  # fmt: skip
    trials["param.meta.lr"] = [1e-3, 2e-3, 3e-3]
    assert slices_figure(trials, "meta.lr", log=True).layout.xaxis.ticktext is None


def test_whole_numbers_have_ticks_at_whole_numbers():
    trials = trials_of(*((i, None, "completed", 0.1 * i, 0) for i in range(3)))
    trials["param.meta.interval"] = [1, 2, None]
    axis = slices_figure(trials, "meta.interval", log=False).layout.xaxis
    assert (axis.tick0, axis.dtick) == (0, 1)
    trials["param.meta.interval"] = [1, 2.5, None]
    assert slices_figure(trials, "meta.interval", log=False).layout.xaxis.dtick is None


def test_without_a_completed_trial_the_best_is_of_any_state(tmp_path):
    add_trial(tmp_path, "a", "pruned", [0.3])
    add_trial(tmp_path, "b", None, [0.4])
    assert load(tmp_path).best.number == 1


def test_without_a_value_there_is_no_best_trial(tmp_path):
    add_trial(tmp_path, "a", "failed")
    assert load(tmp_path).best is None
    with pytest.raises(UserError, match="no trial has finished an epoch"):
        load_curves(tmp_path)


def test_a_folder_that_is_none_is_named_with_those_that_are(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    (tmp_path / "runs" / "digits-famus").mkdir(parents=True)
    with pytest.raises(UserError, match=r"nope: no such run or study; in runs .* digits-famus"):
        load_trials("nope")


def test_a_name_that_is_nearly_one_is_mended(tmp_path, monkeypatch):
    monkeypatch.chdir(tmp_path)
    there = tmp_path / "runs" / "digits-famus"
    there.mkdir(parents=True)
    for wrong, right in (
        ("digits-famsu", "digits-famus"),
        ("runs/digits-famsu", "runs/digits-famus"),
        (f"{there}x", there),
    ):
        with pytest.raises(
            UserError, match=f"{wrong}: no such run or study, did you mean '{right}'"
        ):
            find_folder(wrong)


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


def test_a_choice_of_words_and_numbers_is_drawn_by_its_words():
    trials = pd.DataFrame(
        {"trial": [0, 1], "state": "completed", "value": 0.5, "param.data.limit": ["all", 3]}
    )
    assert list(slices_figure(trials, "data.limit", log=False).data[0].x) == ["all", "3"]


def documented(function):
    """The columns that a docstring lists: the backticked names before the colon of each bullet."""
    lines = re.findall(r"^ +- (`.*?): ", inspect.getdoc(function), re.MULTILINE) or re.findall(
        r"^- (`.*?): ", inspect.getdoc(function), re.MULTILINE
    )
    return {name for line in lines for name in re.findall(r"`([\w.<>]+)`", line)}


def test_every_frame_has_the_columns_that_its_docstring_lists(study):
    assert documented(load_trials) == set(TRIALS.columns)
    own = {c for c in load_trials(study) if c.startswith("param.")}
    assert set(load_trials(study)) == set(TRIALS.columns) | own
    assert documented(load_curves) == set(load_curves(study))
    samples = pd.DataFrame({name: [0] for name in SAMPLES.columns})
    run = study / "trials" / "x7"
    (run / "config.yaml").write_text("run: {}")
    write_table(run / "samples.parquet", SAMPLES, samples)
    assert documented(load_samples) == set(load_samples(run))
    assert documented(rank_labels) == set(load_labels(run))
    assert set(re.findall(r"`(\w+)`", load_labels.__doc__)) >= documented(rank_labels)


def test_null_is_a_value_and_no_value_is_none(tmp_path):
    add_trial(tmp_path, "a", "completed", [0.5], **{"meta.rate": None, "meta.k": 3})
    add_trial(tmp_path, "b", "completed", [0.4], **{"meta.rate": 0.1})
    trials = load_trials(tmp_path)
    assert trials["param.meta.rate"].tolist() == ["null", 0.1]
    assert trials["param.meta.k"].isna().tolist() == [False, True]
    assert load(tmp_path).best.settings == {"meta.rate": None, "meta.k": 3}
    write_frame(trials, tmp_path / "t.parquet", "trials")
    read = pd.read_parquet(tmp_path / "t.parquet")
    assert read["param.meta.rate"].tolist() == ["null", "0.1"]
    write_table(tmp_path / "trials.parquet", TRIALS, trials)
    assert read_table(tmp_path / "trials.parquet", TRIALS)["param.meta.rate"].tolist() == [
        "null", "0.1",
    ]  # fmt: skip
    write_frame(trials, tmp_path / "t.csv", "trials")
    csv = pd.read_csv(tmp_path / "t.csv", keep_default_na=False)
    assert csv["param.meta.rate"].tolist() == ["null", "0.1"]
    assert csv["param.meta.k"].tolist() == ["3", ""]


def test_a_value_that_is_not_finite_is_never_the_best(tmp_path):
    add_trial(tmp_path, "a", "completed", [float("inf")])
    add_trial(tmp_path, "b", "completed", [float("nan")])
    add_trial(tmp_path, "c", "completed", [0.4])
    trials = load_trials(tmp_path)
    assert best_of(trials).number == 2
    assert ranked(trials)["trial"].tolist()[0] == 2
    assert trials["value"].isna().tolist() == [True, True, False]


def test_a_bound_on_what_is_no_number_is_broken(tmp_path):
    ledger = tmp_path / "ledger.jsonl"
    for name, value, excess in (("a", 0.9, float("nan")), ("b", 0.5, -1.0)):
        append_event(ledger, "started", name, params={})
        report = {"epoch": 1, "value": value, "seconds": 1.0, "excess": {"loss <= 1": excess}}
        append_event(ledger, "reported", name, **report)
        append_event(ledger, "completed", name)
    assert load(tmp_path).best.number == 1


def test_a_cost_that_is_not_finite_is_not_on_the_front(tmp_path):
    ledger = tmp_path / "ledger.jsonl"
    for name, cost in (("a", float("inf")), ("b", -float("inf")), ("c", float("nan")), ("d", 2.0)):
        append_event(ledger, "started", name, params={})
        report = {"epoch": 1, "value": 0.5, "seconds": 1.0, "costs": {"time/step": cost}}
        append_event(ledger, "reported", name, **report)
        append_event(ledger, "completed", name)
    assert pareto_front(load_trials(tmp_path))["trial"].tolist() == [3]


def test_a_leader_one_of_whose_seeds_has_no_value_is_not_the_best():
    trials = trials_of(
        (0, None, "completed", 0.9, 0), (1, None, "completed", 0.8, 0),
        (2, 0, "completed", 0.99, 0), (3, 0, "completed", None, 0), (4, 1, "completed", 0.7, 0),
    )  # fmt: skip
    assert best_of(trials).number == 1
    assert ranked(trials)["trial"].tolist() == [1, 4, 0, 2, 3]


def test_epochs_that_are_not_finite_are_never_the_best():
    nan, inf = float("nan"), float("inf")
    found = summarise(curves_of(validation__top1=[0.3, nan, inf], test__top1=[0.4, 0.6, 0.9]))
    assert (found.best_epoch, found.best) == (1, 0.4)
    found = summarise(curves_of(validation__top1=[nan, nan], test__top1=[0.4, 0.6]))
    assert found.best_epoch == 2
