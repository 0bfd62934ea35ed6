"""What a power cut or a clean-up leaves of a study: one trial's damage costs that trial."""

import json
import math
import warnings

import pytest

from famus_ray import UserError, load_curves, load_trials
from famus_ray.reading.loaded import load
from famus_ray.records.ledger import append_event, trials_table
from famus_ray.records.rebuilt import lost_events
from famus_ray.records.run_folder import config_text
from famus_ray.records.tables import CURVES, TRIALS, write_table
from famus_ray.spaces.space import load_space
from famus_ray.spaces.trial_config import trial_config
from tests.reading.test_study_folder import curves_of

SPACE = """
preset: digits
settings: {schedule: {epochs: 2}, model: {widths: [4, 4, 8]}}
space:
  meta.lr: {type: float, low: 1.0e-4, high: 1.0e-2, log: true}
  meta.grouping: {type: choice, values: [tensor, layer]}
  meta.k: {type: int, low: 1, high: 3, when: {meta.grouping: tensor}}
  model.widths: {type: choice, values: [[4, 4, 8], [8, 8, 8]]}
"""
LAYER = {"meta.lr": 1e-3, "meta.grouping": "layer", "model.widths": "[4, 4, 8]"}
TENSOR = {"meta.lr": 2e-3, "meta.grouping": "tensor", "meta.k": 2, "model.widths": "[8, 8, 8]"}
TRIALS_OF = [(LAYER, [0.3, 0.2]), (TENSOR, [0.4, 0.5]), ({**LAYER, "meta.lr": 5e-3}, [0.1])]


@pytest.fixture
def study(tmp_path):
    """Three trials, two completed and one pruned, with their folders and the table."""
    (tmp_path / "space.yaml").write_text(SPACE)
    base = load_space(str(tmp_path / "space.yaml")).base.config
    (tmp_path / "config.yaml").write_text(config_text(base))
    ledger = tmp_path / "ledger.jsonl"
    for number, (params, values) in enumerate(TRIALS_OF):
        trial = f"{number:04d}"
        append_event(ledger, "started", trial, params=params)
        append_event(ledger, "attempt", trial)
        for epoch in range(1, len(values) + 1):
            best = max(values[:epoch])
            append_event(ledger, "reported", trial, epoch=epoch, value=best, seconds=1.0)
        append_event(ledger, "completed" if len(values) == 2 else "pruned", trial)
        folder = tmp_path / "trials" / trial
        frame = curves_of(validation__top1=values, test__top1=values)
        write_table(folder / "curves.parquet", CURVES, frame)
        config = trial_config(base.model_dump(mode="json"), params)
        (folder / "config.yaml").write_text(config_text(config))
    write_table(tmp_path / "trials.parquet", TRIALS, trials_table(ledger))
    return tmp_path


def damage(study, keep):
    """Replace the lines of the ledger that `keep` refuses by something unreadable."""
    ledger = study / "ledger.jsonl"
    lines = ledger.read_text().splitlines()
    ledger.write_text("".join(f"{line if keep(json.loads(line)) else '?'}\n" for line in lines))


def begins(number):
    return lambda e: e["event"] == "started" and e["trial_id"] == f"{number:04d}"


def test_a_lost_beginning_is_rebuilt_and_the_other_trials_keep_their_numbers(study):
    before = load_trials(study)
    damage(study, lambda e: not begins(1)(e))
    with pytest.warns(UserWarning, match=r"ledger\.jsonl: cannot be read and left out: line 6$"):
        after = load_trials(study)
    columns = ["trial", "trial_id", "state", "value", "epochs", *(f"param.{n}" for n in TENSOR)]
    assert after[columns].equals(before[columns])


def test_a_trial_of_which_nothing_is_left_costs_that_trial_alone(study):
    damage(study, lambda e: not begins(1)(e))
    (study / "trials" / "0001" / "config.yaml").write_text("model: [")
    with pytest.warns(UserWarning, match="trial 0001 is left out"):
        assert load_trials(study)["trial"].tolist() == [0, 2]
    with pytest.warns(UserWarning, match="trial 0001 is left out"):
        assert set(load_curves(study)["trial"]) == {0, 2}


@pytest.mark.parametrize("table", ["there", "damaged", "gone"])
def test_an_empty_ledger_is_rebuilt_from_the_folders(study, table):
    before = load_trials(study)
    (study / "ledger.jsonl").write_text("")
    if table == "damaged":
        (study / "trials.parquet").write_bytes(b"PAR1 and no more")
    elif table == "gone":
        (study / "trials.parquet").unlink()
    after = load_trials(study)
    columns = ["trial", "value", "epochs", *(f"param.{name}" for name in TENSOR)]
    assert after[columns].equals(before[columns])
    kept = before["seconds"] if table == "there" else [math.nan] * 3  # nowhere else
    assert after["seconds"].tolist() == pytest.approx(list(kept), nan_ok=True)
    last = "pruned" if table == "there" else "interrupted"
    assert after["state"].tolist() == ["completed", "completed", last]


def test_a_ledger_cut_short_keeps_the_trials_that_it_lost(study):
    before = load_trials(study)
    lines = (study / "ledger.jsonl").read_text().splitlines(keepends=True)
    (study / "ledger.jsonl").write_text("".join(lines[:5]))
    assert load_trials(study)["value"].tolist() == before["value"].tolist()


def test_what_was_rebuilt_and_kept_is_read_as_it_was(study):
    before = load_trials(study)
    damage(study, lambda e: not begins(0)(e))
    ledger = study / "ledger.jsonl"
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        for event in lost_events(study, []):
            if event["trial_id"] == "0000" and event["event"] == "started":
                append_event(ledger, **event)
        append_event(ledger, "started", "0003", params=LAYER)
        after = trials_table(ledger)
    assert after["trial"].tolist() == [0, 1, 2, 3]
    assert after["value"][:3].tolist() == before["value"].tolist()


def test_a_leaders_repeat_is_rebuilt_as_one(study):
    base = load_space(str(study / "space.yaml")).base.config.model_dump(mode="json")
    again = trial_config(base, {**TENSOR, "run.seed": 1})
    write_table(
        study / "trials" / "0003" / "curves.parquet", CURVES, curves_of(validation__top1=[0.6, 0.6])
    )
    (study / "trials" / "0003" / "config.yaml").write_text(config_text(again))
    assert load_trials(study)["replicates"].tolist()[3] == 1
    assert load(study).best.number == 1


@pytest.mark.parametrize("how", ["damaged", "gone", "folder gone"])
def test_the_curves_of_one_trial_cost_that_trial(study, how):
    folder = study / "trials" / "0001"
    if how == "damaged":
        (folder / "curves.parquet").write_bytes(b"PAR1")
    else:
        (folder / "curves.parquet").unlink()
    if how == "folder gone":
        (folder / "config.yaml").unlink()
        folder.rmdir()
    with pytest.warns(UserWarning, match="0001.* left out of the curves|left out.*0001"):
        assert set(load_curves(study)["trial"]) == {0, 2}
    assert load(study).best.number == 1  # its row says so


def test_a_failed_trial_is_never_the_best(study):
    append_event(study / "ledger.jsonl", "failed", "0001", error="OSError: no space")
    assert load(study).best.number == 0
    append_event(study / "ledger.jsonl", "failed", "0000", error="OSError: no space")
    append_event(study / "ledger.jsonl", "failed", "0002", error="OSError: no space")
    assert load(study).best is None


def test_values_that_are_not_finite_are_none(study):
    ledger = study / "ledger.jsonl"
    append_event(ledger, "started", "0003", params=LAYER)
    append_event(
        ledger, "reported", "0003", epoch=1, value=float("inf"), seconds=1.0,
        costs={"validation/loss": float("-inf")},
    )  # fmt: skip
    append_event(ledger, "completed", "0003")
    table = load_trials(study)
    assert table["value"].isna().tolist() == [False] * 3 + [True]
    assert table["cost.validation/loss"].isna().all()
    assert load(study).best.number == 1


def test_a_run_whose_curves_are_damaged_is_still_refused(study):
    folder = study / "trials" / "0001"
    (folder / "curves.parquet").write_bytes(b"PAR1")
    with pytest.raises(UserError, match="not a readable Parquet file"):
        load_curves(folder)
