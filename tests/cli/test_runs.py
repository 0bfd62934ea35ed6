"""`famus-ray runs`, names with blanks, and what the first line of a command says."""

import json
import shutil
import subprocess
import sys

import pytest

from famus_ray.records.claim import claimed
from famus_ray.records.ledger import append_event


@pytest.fixture
def several(trained, tmp_path):
    """A finished run, one that was cut, a study that failed, damage, and folders that are none."""
    runs = tmp_path / "runs"
    shutil.copytree(trained[0] / "runs" / "x", runs / "x")
    shutil.copytree(trained[0] / "runs" / "x", runs / "nested" / "cut off")
    (runs / "nested" / "cut off" / "samples.parquet").unlink()
    (runs / "torn").mkdir()
    (runs / "torn" / "config.yaml").write_text("{")
    (runs / "junk" / "deep").mkdir(parents=True)
    ledger = runs / "s" / "ledger.jsonl"
    ledger.parent.mkdir()
    config = "{data: {name: digits}, method: {name: famus}, study: {trials: 1}}"
    (ledger.parent / "config.yaml").write_text(config)
    append_event(ledger, "started", "0000", params={"meta.lr": 0.1})
    append_event(ledger, "failed", "0000", error="no")
    return runs


def test_runs_lists_what_is_there_and_how_far_it_came(here, several):
    code, stdout, _ = here("runs", "--json")
    found = {one["name"]: one for one in json.loads(stdout)}
    assert code == 0
    states = {name: (one["kind"], one["state"], one["done"]) for name, one in found.items()}
    assert states == {
        "nested/cut off": ("run", "interrupted", 1),
        "s": ("study", "failed", 1),
        "torn": ("run", "damaged", None),
        "x": ("run", "finished", 1),
    }
    assert found["x"]["what"] == "famus on digits"
    assert 0 <= found["x"]["best"] <= 1
    assert "damaged" in found["torn"]["note"]
    _, stdout, _ = here("runs")
    assert [line.split("  ")[0] for line in stdout.splitlines()] == ["name", *sorted(found)]
    assert "1/1 epochs" in stdout


def test_a_run_under_way_is_running(here, several):
    with claimed(several / "nested" / "cut off"):
        found = json.loads(here("runs", "--json")[1])
    assert [one["name"] for one in found if one["state"] == "running"] == ["nested/cut off"]


def test_no_runs_yet(here, refused, tmp_path):
    refused("runs", "runs: no such folder")
    (tmp_path / "empty").mkdir()
    assert here("runs", "--root", "empty")[0] == 0


def test_runs_are_listed_without_torch_or_ray(several):
    code = (
        "import sys; from famus_ray.reading.runs import list_runs\n"
        f"assert len(list_runs({str(several)!r})) == 4\n"
        "assert not {'torch', 'ray'} & set(sys.modules)\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True)


def test_a_name_that_is_taken_says_what_to_type(here, refused, several):
    again = "train digits schedule.epochs=1 --name"
    refused(f"{again} x", "x: there already, finished: `famus-ray report runs/x` shows it")
    refused(
        f"{again} 'nested/cut off'",
        "there already, interrupted after 1 of 1 epochs: `famus-ray resume 'runs/nested/cut off'`",
    )
    refused(f"{again} torn", "torn: there already, damaged (")
    with claimed(several / "x"):
        refused(f"{again} x", "runs/x: in use: process ")
        refused("resume x", "runs/x: in use: process ")


def test_commands_to_copy_quote_names_with_blanks(here):
    short = ("model.widths=[8,8,8]", "schedule.epochs=1", "method=ce", "run.threads=1")
    code, stdout, stderr = here("train", "digits", *short, "--name", "my run")
    assert code == 0
    assert "next: famus-ray report 'runs/my run'; famus-ray labels 'runs/my run'" in stdout
    assert stderr.startswith("training ce on digits for 1 epoch in runs/my run\n")
