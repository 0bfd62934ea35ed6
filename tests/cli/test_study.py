"""`famus-ray tune --dry-run` and `trials`; studies that run are in tests/scale."""

import json

import pandas as pd
import pytest

from famus_ray.cli.output import show_study
from famus_ray.reading.folders import load_curves, load_trials
from famus_ray.reading.trials import why_no_best
from famus_ray.records.ledger import append_event
from famus_ray.records.run_folder import config_text
from famus_ray.spaces.constraints import check_curve
from famus_ray.spaces.space import load_space


def test_a_dry_run_of_a_study_shows_the_space_and_writes_nothing(here, tmp_path):
    _, stdout, _ = here("tune", "famus", "--trials", "7", "schedule.epochs=10", "--dry-run")
    assert "meta.gate_lr" in stdout
    assert "7 trials of at most 10 epochs: at most 70 epochs, pruned from epoch 4 on" in stdout
    assert "cost: 7 runs" in stdout
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_of_a_study_refuses_what_the_study_refuses(refused):
    stdout = refused("tune famus --dry-run run.batch_size=5000", "run.batch_size = 5000: more than")
    assert "meta.gate_lr" in stdout  # the space is shown all the same
    refused("tune famus --dry-run scale.cpus_per_worker=640", "1 workers x 640 CPU need 640 CPUs")
    stdout = refused("tune famus --dry-run --json run.batch_size=5000", "more than")
    assert json.loads(stdout)["cost_of_a_run"] is None


def test_a_dry_run_refuses_choices_that_training_refuses(refused, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "preset: digits\nspace:\n"
        "  model.name: {type: choice, values: [preact_resnet8, nosuch]}\n"
        "  meta.gated_from: {type: choice, values: [all, layr3]}\n"
        "  run.batch_size: {type: int, low: 16, high: 5000}\n"
    )
    for option in ("--dry-run", ""):
        refused(f"tune mine.yaml {option}", "3 problems\n  - model.name = nosuch: not here")
    refused("tune mine.yaml --dry-run", "meta.gated_from = 'layr3': no parameter begins so")
    refused("tune mine.yaml --dry-run", "run.batch_size = 5000: more than the 1194")


def test_a_dry_run_of_a_population_counts_its_children(here):
    more = ("study.scheduler=pbt", "study.exploit_every=2", "--trials", "8", "--dry-run")
    _, stdout, _ = here("tune", "quick", *more)
    assert "8 trials of at most 6 epochs: at most 48 epochs; the poorest quarter ends" in stdout
    assert "usually at most 4 in all" in stdout


def test_a_dry_run_shows_steps_points_and_no_more_leaders_than_trials(here, tmp_path):
    (tmp_path / "mine.yaml").write_text(
        "preset: digits\nspace:\n"
        "  meta.interval: {type: int, low: 1, high: 5, step: 2}\n"
        "  optimiser.lr: {type: float, low: 1.0, high: 3.0, step: 1.0}\n"
        "  run.batch_size: {type: int, low: 16, high: 32}\n"
        "points: [{meta.interval: 3}, {meta.interval: 5}]\n"
    )
    leaders = ("study.leaders=50", "study.leader_seeds=1")
    _, stdout, _ = here("tune", "mine.yaml", *leaders, "--trials", "4", "--dry-run")
    assert [line.split(maxsplit=1)[1].strip() for line in stdout.splitlines()[1:4]] == [
        "1 … 5, step 2", "1.0 … 3.0, step 1.0", "16 … 32"
    ]  # fmt: skip
    assert "4 trials, then 1 further seed of the best 4, of at most" in stdout
    assert "2 points given to try first" in stdout


def test_every_curve_of_a_run_may_be_bounded(trained):
    curves = load_curves(trained[0] / "runs" / "x")["metric"].unique()
    assert "gates/open" in curves
    for curve in curves:
        check_curve("study.constraints", curve)


@pytest.fixture
def study(tmp_path):
    """A study of two trials, the second the better one."""
    ledger = tmp_path / "runs" / "s" / "ledger.jsonl"
    ledger.parent.mkdir(parents=True)
    for trial_id, value in (("0000", 0.25), ("0001", 0.5)):
        append_event(ledger, "started", trial_id, params={"meta.lr": value, "optimiser.lr": 0.1})
        append_event(ledger, "reported", trial_id, epoch=3, value=value, seconds=1.0)
        append_event(ledger, "completed", trial_id)


def test_trials_come_as_a_table_with_the_best_first(here, study):
    _, stdout, _ = here("trials", "s")
    header, *rows = [line.split() for line in stdout.splitlines()]
    assert header == ["trial", "state", "value", "epochs", "seconds", "meta.lr", "optimiser.lr"]
    assert rows == [["1", "completed,", "best", "0.5", "3", "1", "0.5", "0.1"],
                    ["0", "completed", "0.25", "3", "1", "0.25", "0.1"]]  # fmt: skip


def test_trials_come_as_json_csv_or_parquet(here, study, tmp_path):
    assert [row["trial"] for row in json.loads(here("trials", "s", "--json")[1])] == [1, 0]
    assert here("trials", "s", "--to", "t.csv")[:2] == (0, "t.csv\n")
    code, stdout, _ = here("trials", "s", "--to", "t.parquet", "--json")
    assert (code, json.loads(stdout)) == (0, {"trials": "t.parquet"})
    for table in (pd.read_csv(tmp_path / "t.csv"), pd.read_parquet(tmp_path / "t.parquet")):
        assert table["value"].tolist() == [0.5, 0.25]


def test_a_finished_study_resumed_says_so(here, study, tmp_path):
    space = load_space("quick", ("study.trials=2",))
    folder = tmp_path / "runs" / "s"
    (folder / "space.yaml").write_text(space.text)
    (folder / "config.yaml").write_text(config_text(space.base.config))
    code, _, stderr = here("resume", "s", "study.trials=1")
    assert (code, stderr.splitlines()[-1][:60]) == (
        2, "famus-ray: study.trials = 1: 2 were begun and stay; leave it"
    )  # fmt: skip
    code, stdout, stderr = here("resume", "s", "--json")
    assert (code, json.loads(stdout)["states"]) == (0, {"completed": 2})
    _, outside, nothing_left = stderr.splitlines()
    assert outside.startswith("2 of 2 earlier trials lie outside of the space as it is now")
    assert nothing_left == "nothing was left to do: all trials have ended"


def add_trial(tmp_path, number, value, state="completed", error=None, costs=None, **born):
    ledger = tmp_path / "runs" / "s" / "ledger.jsonl"
    trial_id = f"{number:04d}"
    append_event(ledger, "started", trial_id, params={"meta.lr": 0.5}, **born)
    if value is not None:
        more = {} if costs is None else {"costs": costs}
        append_event(ledger, "reported", trial_id, epoch=3, value=value, seconds=1.0, **more)
    append_event(ledger, state, trial_id, **({} if error is None else {"error": error}))


def test_a_leader_is_told_with_what_it_was_chosen_by_and_its_repeats_are_no_trials(
    here, study, tmp_path, capsys
):
    add_trial(tmp_path, 2, 0.4306, replicates=1)
    headline = "best: trial 1, 0.4306 with 1 further seed; chosen at 0.5000\n"
    assert here("trials", "s")[2] == headline
    show_study(tmp_path / "runs" / "s", as_json=False)
    stdout = capsys.readouterr().out
    assert stdout.startswith(f"2 completed  1 completed (repeat)\n{headline}")
    add_trial(tmp_path, 3, 0.4506, replicates=1)
    assert "0.4406 ± 0.0141, mean of 2 further seeds; chosen" in here("trials", "s")[2]


def test_the_pareto_front_comes_first_and_is_marked(here, study, tmp_path):
    (tmp_path / "runs" / "s" / "ledger.jsonl").unlink()
    for number, (value, cost) in enumerate([(0.9, 3.0), (0.7, 2.0), (0.8, 2.5), (0.85, 3.5)]):
        add_trial(tmp_path, number, value, costs={"time/step": cost})
    lines = here("trials", "s")[1].splitlines()[1:]
    assert [line.split()[0] for line in lines] == ["0", "2", "1", "3"]
    assert ["completed, Pareto front" in line for line in lines] == [True, True, True, False]
    assert ", best" not in "".join(lines)


def test_trials_that_failed_are_told_with_the_first_error(study, tmp_path, capsys):
    folder = tmp_path / "runs" / "s"
    for number in (2, 3):
        add_trial(tmp_path, number, None, "failed", f"Traceback\nsome.ValueError: no {number}\n")
    show_study(folder, as_json=True)
    stdout, stderr = capsys.readouterr()
    assert json.loads(stdout)["states"] == {"completed": 2, "failed": 2}
    assert stderr == (
        f"famus-ray: {folder}: 2 failed, the first one with ValueError: no 2; "
        f"`famus-ray trials {folder} --json` shows all\n"
    )


def test_where_every_trial_failed_the_first_error_is_told(tmp_path):
    ledger = tmp_path / "ledger.jsonl"
    append_event(ledger, "started", "0000", params={"meta.lr": 1.0})
    error = "Traceback (most recent call last):\n  ...\nfamus_ray.errors.UserError: no: why\n"
    append_event(ledger, "failed", "0000", error=error)
    assert "every trial failed, the first one with UserError: no: why; `" in why_no_best(
        load_trials(tmp_path), tmp_path
    )
