"""A study as an Optuna study: states, distributions, values by epoch."""

from __future__ import annotations

import math
import shutil

import optuna
import pytest
from optuna.trial import TrialState

import famus_ray as fr
from famus_ray.records.ledger import append_event
from tests.reading.test_frames import add_trial, study  # noqa: F401 - a fixture


def test_trials_have_their_states_values_and_reasons(study):  # noqa: F811
    found = fr.load_study(study)
    assert [trial.state for trial in found.trials] == [
        TrialState.COMPLETE, TrialState.PRUNED, TrialState.FAIL, TrialState.RUNNING,
    ]  # fmt: skip
    assert found.best_trial.value == 0.7
    assert found.trials[0].intermediate_values == {1: 0.5, 2: 0.6, 3: 0.7}
    assert found.trials[1].intermediate_values == {1: 0.2}
    assert found.trials[2].user_attrs["reason"] == "ValueError: no"
    assert found.trials[3].user_attrs["state"] == "interrupted"
    assert found.metric_names == ["validation/top1"]
    assert all(t.datetime_start <= t.datetime_complete for t in found.trials[:3])


def test_settings_that_were_searched_are_parameters_with_their_ranges(study):  # noqa: F811
    trials = fr.load_study(study).trials
    assert trials[0].params == {"meta.lr": 0.01, "meta.grouping": "layer", "meta.k": 3}
    assert trials[0].user_attrs["meta.flag"] is True  # not in the space
    assert trials[1].params == {"meta.lr": 0.02, "meta.grouping": "tensor"}
    lr = trials[0].distributions["meta.lr"]
    assert lr == optuna.distributions.FloatDistribution(1e-4, 1e-1, log=True)
    assert trials[0].distributions["meta.k"] == optuna.distributions.IntDistribution(1, 6)


def test_ranges_are_widened_where_the_space_was_edited_since(study):  # noqa: F811
    text = (study / "space.yaml").read_text()
    text = text.replace("high: 1.0e-1", "high: 0.015").replace("[tensor, layer]", "[block]")
    (study / "space.yaml").write_text(text)
    trials = fr.load_study(study).trials
    assert trials[0].distributions["meta.lr"].high == 0.02
    assert set(trials[0].distributions["meta.grouping"].choices) == {"block", "layer", "tensor"}


def test_optunas_own_tools_take_it(study):  # noqa: F811
    for number in range(4, 10):
        params = {"meta.lr": 0.01 * number, "meta.grouping": "layer", "meta.k": number % 6 + 1}
        add_trial(study, number, "completed", [0.1 * number], params)
    found = fr.load_study(study)
    shares = optuna.importance.get_param_importances(
        found, evaluator=optuna.importance.PedAnovaImportanceEvaluator()
    )
    assert set(shares) <= {"meta.lr", "meta.grouping", "meta.k"}
    assert len(found.trials_dataframe()) == 10


def test_a_value_that_is_not_finite_and_further_seeds_are_no_results(study):  # noqa: F811
    add_trial(study, 4, "completed", [math.nan])
    append_event(study / "ledger.jsonl", "started", "0005", params={}, replicates=0)
    append_event(study / "ledger.jsonl", "reported", "0005", epoch=1, value=0.99, seconds=1.0)
    append_event(study / "ledger.jsonl", "completed", "0005")
    found = fr.load_study(study)
    assert [trial.user_attrs["trial"] for trial in found.trials] == [0, 1, 2, 3, 4]
    assert found.trials[4].state == TrialState.FAIL


def test_objectives_that_are_minimised_follow_the_metric(study):  # noqa: F811
    ledger = study / "ledger.jsonl"
    ledger.unlink()
    shutil.rmtree(study / "trials")
    for number, cost in enumerate((2.0, None)):
        name = f"{number:04d}"
        append_event(ledger, "started", name, params={})
        report = {"epoch": 1, "value": 0.5, "seconds": 1.0, "costs": {"time/step": cost}}
        append_event(ledger, "reported", name, **report)
        append_event(ledger, "completed", name)
    found = fr.load_study(study)
    assert [direction.name for direction in found.directions] == ["MAXIMIZE", "MINIMIZE"]
    assert found.best_trials[0].values == [0.5, 2.0]
    assert found.trials[1].state == TrialState.FAIL


def test_a_run_is_no_study(study):  # noqa: F811
    with pytest.raises(fr.UserError, match="a run, not a study"):
        fr.load_study(study / "trials" / "0000")
