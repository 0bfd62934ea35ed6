"""Frames of one run, a study, or several: types, reasons, and what damage costs."""

from __future__ import annotations

import shutil
import warnings

import numpy as np
import pandas as pd
import pytest

import famus_ray as fr
from famus_ray.reading.loaded import load
from famus_ray.records.ledger import append_event
from famus_ray.records.tables import CURVES, SAMPLES, TRIALS, write_table

SPACE = """\
preset: digits
space:
  meta.lr: {type: float, low: 1.0e-4, high: 1.0e-1, log: true}
  meta.grouping: {type: choice, values: [tensor, layer]}
  meta.k: {type: int, low: 1, high: 6, when: {meta.grouping: layer}}
"""


def add_trial(study, number, state, values=(), params=None, **details):
    """A trial in the ledger, and its curves and samples where it reported."""
    ledger, name = study / "ledger.jsonl", f"{number:04d}"
    append_event(ledger, "started", name, params=params or {})
    for epoch, value in enumerate(values, start=1):
        append_event(ledger, "reported", name, epoch=epoch, value=value, seconds=1.0, node="a/1")
    if state is not None:
        append_event(ledger, state, name, **details)
    if len(values):
        add_run(study / "trials" / name, values)


def add_run(folder, values, seed=0, method="famus"):
    rows = [
        (epoch, metric, value)
        for epoch, value in enumerate(values, start=1)
        for metric in ("validation/top1", "test/top1", "time/step")
    ]
    write_table(folder / "curves.parquet", CURVES, pd.DataFrame(rows, columns=[*CURVES.columns]))
    samples = pd.DataFrame({name: [0, 0] for name in SAMPLES.columns}).assign(id=[0, 1])
    write_table(folder / "samples.parquet", SAMPLES, samples)
    (folder / "config.yaml").write_text(
        f"run: {{select: validation, seed: {seed}}}\nmethod: {{name: {method}}}\n"
    )


@pytest.fixture
def study(tmp_path):
    """A trial of each state; the settings are a word, a flag, and numbers that some lack."""
    path = tmp_path / "runs" / "one"
    path.mkdir(parents=True)
    (path / "space.yaml").write_text(SPACE)
    (path / "config.yaml").write_text(
        "study: {metric: validation/top1}\nrun: {select: validation}\n"
    )
    layer = {"meta.lr": 0.01, "meta.grouping": "layer", "meta.k": 3, "meta.flag": True}
    tensor = {"meta.lr": 0.02, "meta.grouping": "tensor"}
    add_trial(path, 0, "completed", [0.5, 0.6, 0.7], layer)
    pruned = {"pruned_at": 1, "pruned_value": 0.2, "needed": 0.4}
    add_trial(path, 1, "pruned", [0.2], tensor, reason="0.2 at epoch 1, rung 1", **pruned)
    add_trial(path, 2, "failed", [], tensor, error="Traceback\n  ...\na.b.ValueError: no")
    add_trial(path, 3, None, [0.1], {**layer, "meta.k": 5})
    return path


def test_settings_have_the_type_of_their_values(study):
    trials = fr.load_trials(study)
    types = {c.removeprefix("param.meta."): str(t) for c, t in trials.dtypes.items()}
    assert (types["lr"], types["grouping"], types["k"], types["flag"]) == (
        "float64", "category", "Int64", "boolean"
    )  # fmt: skip
    assert trials["param.meta.k"].dropna().tolist() == [3, 5]
    assert (types["state"], types["pruned_at"]) == ("category", "Int64")
    assert load(study).best.settings["meta.k"] == 3
    assert str(fr.load_curves(study)["metric"].dtype) == "category"


def test_every_trial_that_is_not_completed_has_its_reason(study):
    assert fr.load_trials(study)["reason"].fillna("").tolist() == [
        "", "0.2 at epoch 1, rung 1", "ValueError: no", "its command ended after epoch 1",
    ]  # fmt: skip


def test_a_pruned_trial_says_at_which_rung_with_what_and_what_was_needed(study):
    row = fr.load_trials(study).iloc[1]
    assert (row["pruned_at"], row["pruned_value"], row["needed"]) == (1, 0.2, 0.4)
    assert fr.load_trials(study)["needed"].isna().tolist() == [True, False, True, True]


def test_several_studies_are_one_frame_with_the_name_of_each(study, monkeypatch):
    two = shutil.copytree(study, study.with_name("two"))
    add_trial(two, 4, "completed", [0.9], {"meta.k": 6, "meta.scope": "tail"})
    monkeypatch.chdir(study.parents[1])
    for names in (["one", "two"], "*", "runs/*", f"{study.parent}/*"):
        trials = fr.load_trials(names)
        assert trials.groupby("run", observed=True).size().tolist() == [4, 5]
        assert str(trials["param.meta.k"].dtype) == "Int64"
        assert [str(trials[c].dtype) for c in ("run", "state", "param.meta.scope")] == [
            "category"
        ] * 3
        assert fr.load_trials(trials["run"].iloc[-1])["value"].max() == 0.9  # a name that is read
    assert fr.load_curves("*")["trial"].unique().tolist() == [0, 1, 3, 4]
    assert len(fr.load_samples(["one", "two"])) == 2 * (3 + 4)
    labels = fr.load_labels("*")
    assert labels.groupby(["run", "trial"], observed=True).size().eq(2).all()


def test_a_pattern_passes_over_what_has_no_such_table_and_a_name_does_not(study, monkeypatch):
    monkeypatch.chdir(study.parent)
    add_run(study.with_name("plain"), [0.3])
    (study.parent / "notes").mkdir()
    assert set(fr.load_trials("*")["run"]) == {"one"}
    curves = fr.load_curves("*")
    assert set(curves["run"]) == {"one", "plain"}
    assert curves.loc[curves["run"] == "plain", "trial"].isna().all()
    with pytest.raises(fr.UserError, match="plain: a run, not a study"):
        fr.load_trials(["one", "plain"])
    with pytest.raises(fr.UserError, match=r"nope\*: no run or study with such a table"):
        fr.load_trials("nope*")


@pytest.mark.parametrize("missing", [6, 5, 4])
def test_tables_of_older_versions_are_read(study, missing):
    table = fr.load_trials(study).astype({"param.meta.k": "float64"})
    late = ["pruned_at", "pruned_value", "needed", "reason", "from_epoch"][: 3 + 6 - missing]
    write_table(study / "trials.parquet", TRIALS, table)
    read = pd.read_parquet(study / "trials.parquet").drop(columns=late if missing < 6 else [])
    plain = read.astype({"state": "str", "node": "str"})
    about = type(TRIALS)(
        TRIALS.name, missing, {c: TRIALS.columns[c] for c in plain if c in TRIALS.columns}
    )
    write_table(study / "trials.parquet", about, plain)
    (study / "ledger.jsonl").unlink()
    found = fr.load_trials(study)
    assert set(TRIALS.columns) <= set(found)
    assert found["param.meta.k"].dropna().tolist() == [3, 5]
    assert str(found["param.meta.k"].dtype) == "Int64"
    assert found["state"].tolist() == ["completed", "pruned", "failed", "interrupted"]


@pytest.mark.parametrize("content", [b"", b"PAR1 and no more", b"\0" * 400])
def test_a_damaged_file_of_a_trial_costs_that_trial_and_is_named(study, content):
    for name in ("curves.parquet", "samples.parquet"):
        (study / "trials" / "0001" / name).write_bytes(content)
    with pytest.warns(UserWarning, match=r"0001/curves\.parquet: not a readable Parquet file"):
        assert fr.load_curves(study)["trial"].unique().tolist() == [0, 3]
    with pytest.warns(UserWarning, match=r"0001/samples\.parquet: not a readable Parquet file"):
        assert fr.load_samples(study)["trial"].unique().tolist() == [0, 3]
    assert len(fr.load_trials(study)) == 4


def test_folders_that_were_moved_are_read_as_before(study, tmp_path):
    before = fr.load_trials(study), fr.load_curves(study)
    moved = study.rename(tmp_path / "elsewhere")
    for was, now in zip(before, (fr.load_trials(moved), fr.load_curves(moved)), strict=True):
        pd.testing.assert_frame_equal(was, now)


def test_files_are_read_once(study):
    found = load(study)
    trials, curves = found.trials, found.curves
    shutil.rmtree(study)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        assert found.trials is trials
        assert found.curves is curves
        assert found.best.number == 0


def test_seeds_of_a_trial_are_told_apart(study):
    append_event(study / "ledger.jsonl", "started", "0004", params={})
    for seed in (7, 8):
        add_run(study / "trials" / "0004" / f"seed-{seed}", [0.5, seed / 10])
    curves = fr.load_curves(study).query("trial == 4 and metric == 'test/top1'")
    assert curves["seed"].tolist() == [7, 7, 8, 8]
    assert curves["value"].tolist() == [0.5, 0.7, 0.5, 0.8]
    assert str(curves["seed"].dtype) == "Int64"


def test_a_frame_of_nothing_but_failures(tmp_path):
    append_event(tmp_path / "ledger.jsonl", "started", "0000", params={"meta.k": None})
    append_event(tmp_path / "ledger.jsonl", "failed", "0000", error="out of memory")
    trials = fr.load_trials(tmp_path)
    assert trials["reason"].tolist() == ["out of memory"]
    assert trials["param.meta.k"].tolist() == ["null"]
    assert np.isnan(trials["value"]).all()
