"""`famus-ray trials --where`, `show` and `compare`."""

import json
import shlex

import pandas as pd
import pytest

from famus_ray.records.ledger import append_event
from tests.reading.test_comparison import add_run


@pytest.fixture
def study(tmp_path):
    """A completed trial, a pruned one, and one that failed."""
    ledger = tmp_path / "runs" / "s" / "ledger.jsonl"
    ledger.parent.mkdir(parents=True)
    (ledger.parent / "config.yaml").write_text("study: {metric: validation/top1}")
    (ledger.parent / "space.yaml").write_text("space: {}")
    ends = {
        "completed": {},
        "pruned": {"reason": "0.2 at epoch 1, rung 1: 0.3 was needed", "pruned_at": 1},
        "failed": {"error": "Traceback\n  File x\nValueError: =cmd"},
    }
    for number, (state, details) in enumerate(ends.items()):
        params = {"meta.lr": 0.1 * (number + 1), "meta.k": 3, "meta.grouping": "layer"}
        append_event(ledger, "started", f"{number:04d}", params=params)
        value = 0.9 - number / 10
        append_event(ledger, "reported", f"{number:04d}", epoch=1, value=value, seconds=1.0)
        append_event(ledger, state, f"{number:04d}", **details)
    return ledger.parent


def test_trials_are_chosen_and_sorted(here, study):
    _, stdout, stderr = here("trials", "s", "--where", "state != 'completed'", "--sort", "value")
    assert [line.split()[0] for line in stdout.splitlines()[1:]] == ["2", "1"]
    assert stderr == "2 of 3 trials\n"
    _, stdout, _ = here("trials", "s", "--sort", "-meta.lr", "--json")
    assert [row["trial"] for row in json.loads(stdout)] == [2, 1, 0]
    _, stdout, _ = here("trials", "s", "--where", "accuracy > 0.85")
    assert "completed, best" in stdout


def test_the_best_stays_the_best_of_all_where_it_is_not_shown(here, study):
    _, stdout, _ = here("trials", "s", "--where", "value < 0.85")
    assert ", best" not in stdout


@pytest.mark.parametrize("ending", [".csv", ".parquet", ".json", ".md", ".tex"])
def test_trials_are_written_as_they_were_chosen(here, study, tmp_path, ending):
    file = tmp_path / f"t{ending}"
    code, stdout, _ = here("trials", "s", "--where", "state == 'failed'", "--to", str(file))
    assert (code, stdout) == (0, f"{file}\n")
    if ending == ".parquet":
        assert pd.read_parquet(file)["trial"].tolist() == [2]
    else:
        assert "ValueError" in file.read_text()
        assert "rung 1" not in file.read_text()


def test_several_studies_are_one_table(here, study, tmp_path):
    other = study.with_name("other")
    other.mkdir()
    for name in ("ledger.jsonl", "config.yaml", "space.yaml"):
        (other / name).write_text((study / name).read_text())
    _, stdout, _ = here("trials", "*", "--where", "state == 'completed'")
    assert [line.split()[0] for line in stdout.splitlines()] == ["run", "other", "s"]


def test_show_tells_why_a_trial_ended_and_what_sets_it_apart(here, study):
    _, stdout, _ = here("show", "s", "1")
    assert stdout.startswith("trial 1: pruned, 0.8000 after 1 epochs\n\nwhy: 0.2 at epoch 1, rung")
    rows = {line.split()[0]: line.split()[1:] for line in stdout.splitlines() if line}
    assert rows["meta.lr"] == ["0.2", "0.1"]
    assert rows["meta.k"] == ["3", "the", "same"]
    assert "epoch 1: 0.8  1.0 s" in stdout
    _, stdout, _ = here("show", "s", "2")
    assert "why: ValueError: =cmd" in stdout
    assert stdout.rstrip().endswith("ValueError: =cmd")
    found = json.loads(here("show", "s", "0", "--json")[1])
    assert (found["best"], found["differences"], found["reason"]) == (0, {}, None)


def test_the_command_that_show_prints_trains_the_trial(here, study, tmp_path, trained):
    config = trained[0] / "runs" / "x" / "config.yaml"
    folder = study / "trials" / "0001"
    folder.mkdir(parents=True)
    (folder / "config.yaml").write_text(config.read_text())
    (command,) = json.loads(here("show", "s", "1", "--json")[1])["commands"]
    program, *words = shlex.split(command)
    assert (program, words[0], words[2]) == ("famus-ray", "train", "run.threads=1")
    code, stdout, _ = here(*words, "--name", "again", "--json")
    assert code == 0
    first = json.loads(trained[1])
    again = json.loads(stdout)
    assert (again["best"], again["last10"]) == (first["best"], first["last10"])


def test_methods_are_compared(here, tmp_path):
    for method, values in {"ce": [0.5, 0.6], "famus": [0.7, 0.9]}.items():
        for seed, value in enumerate(values):
            add_run(tmp_path / "runs" / f"{method}-{seed}", method, seed, value)
    _, stdout, stderr = here("compare", "ce-0", "ce-1", "famus-*")
    assert [line.split()[3] for line in stdout.splitlines()[1:3]] == ["famus", "ce"]
    assert "Holm" in stderr
    found = json.loads(here("compare", "*", "--json")[1])
    assert [row["mean"] for row in found["table"]] == pytest.approx([0.8, 0.55])
    assert found["tests"][0]["pairs"] == 2
    assert here("compare", "*", "--to", "c.md")[:2] == (0, "c.md\n")
    assert "| famus | **80.00 ± 14.14 (2)** |" in (tmp_path / "c.md").read_text()
    here("compare", "*", "--to", "c.csv")
    assert pd.read_csv(tmp_path / "c.csv")["method.name"].tolist() == ["famus", "ce"]
