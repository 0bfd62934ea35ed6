"""A mistake ends with one clear line and exit code 2, and nothing is written."""

import subprocess
import sys
from pathlib import Path

import pytest

from famus_ray.records.ledger import append_event

MISTAKES = {
    "train digits meta.lrr=1": "meta.lrr: unknown key, did you mean 'meta.lr'?",
    "train digits lr=1": "lr: unknown key, did you mean 'meta.lr' or 'optimiser.lr'?",
    "train digits noise.rate=2": "noise.rate = 2: must be <= 1",
    "train digits noise.rate": "expected key=value",
    "train digist": "did you mean 'digits'?",
    "train digits extra": "command line: 'extra': expected key=value; sections are data, noise",
    "train famus": "famus: unknown preset; it is a search space: famus-ray tune famus",
    "train space.yaml": "space.yaml: is a search space; try it with `famus-ray tune space.yaml`",
    "tune digits": "digits: no such search space; it is a preset: famus-ray train digits",
    "tune famsu": "did you mean 'famus'?",
    "tune runs": "runs: is a folder; name a YAML file in it",
    "train runs": "runs: no images in folders of their classes",
    "train runs/run": "runs/run: is the folder of a run or study: famus-ray resume runs/run",
    "tune famus study.trials=0": "study.trials = 0: must be >= 1",
    "tune famus --name study": "runs/study: there already, ",
    "tune famus --name study --dry-run": "study: there already",
    "trials nope": "nope: no such run or study",
    "trials study --where value>": "--where value>: invalid syntax; a condition has columns",
    "trials study --sort valu": "valu: no such column, did you mean 'value'?",
    "show study 7": "study: no trial 7; it has 0 to 0",
    "show run 0": "run: a run, not a study, so it has no trials",
    "compare nope": "nope: no such run or study",
    "compare nope*": "nope*: no run or study is called so",
    "compare run --to x.txt": "x.txt: must end in .csv, .parquet, .json, .md or .tex",
    "compare run --measure last": "measure = last: must be last10, best, seconds_per_step",
    "trials study --to x.txt": "x.txt: must end in .csv, .parquet, .json, .md or .tex",
    "trials study --to none/x.csv": "none/x.csv: there is no folder none; make it first",
    "trials other": "other: neither a run nor a study: it has no config.yaml",
    "labels run --to x.xlsx": "x.xlsx: must end in .csv, .parquet or .html",
    "labels run --to none/x.html": "none/x.html: there is no folder none; make it first",
    "labels run --compare --to x.csv": "--compare: measures the ranking and writes no file",
    "labels run": "run: has not judged its labels yet; `famus-ray resume runs/run` finishes",
    "labels study": "study: a study; name one of its runs, such as runs/study/trials/0000",
    "labels other": "other: neither a run nor a study: it has no config.yaml",
    "report nope": "nope: no such run or study",
    "report other": "other: neither a run nor a study: it has no config.yaml",
    "report run": "run: has not finished an epoch yet",
    "resume other": "other: neither a run nor a study: it has no config.yaml",
    "extend run --trials 3": "run: no study to go on with: it has no space.yaml",
    "presets show digist": "did you mean 'digits'?",
    "presets copy digits there.yaml": "there.yaml: there already",
    "presets copy digits mine": "mine: must end in .yaml or .yml",
    "presets copy digits none/mine.yaml": "there is no folder none; make it first",
    "spaces show famsu": "did you mean 'famus'?",
}


@pytest.mark.parametrize("command", ["report", "trials", "labels", "resume", "extend --trials 1"])
def test_a_wrong_name_is_answered_with_the_near_one(refused, tmp_path, command):
    (tmp_path / "runs" / "digits-famus").mkdir(parents=True)
    refused(f"{command} digits-fams", "no such run or study, did you mean 'digits-famus'?")


@pytest.mark.parametrize(("command", "found"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake(refused, tmp_path, command, found):
    (tmp_path / "there.yaml").write_text("mine")
    for folder in ("runs/study", "runs/run", "runs/other"):
        (tmp_path / folder).mkdir(parents=True)
    append_event(tmp_path / "runs" / "study" / "ledger.jsonl", "started", "a", params={})
    (tmp_path / "space.yaml").write_text("preset: digits\nspace: {}\n")
    (tmp_path / "runs" / "run" / "config.yaml").write_text("method: {name: ce}\n")
    assert refused(command, found) == ""
    assert (tmp_path / "there.yaml").read_text() == "mine"


def test_the_installed_program_does_the_same(tmp_path):
    program = Path(sys.executable).with_name("famus-ray")
    done = subprocess.run(
        [str(program), "trials", "nope"], cwd=tmp_path, capture_output=True, text=True, check=False
    )
    assert (done.returncode, done.stdout) == (2, "")
    assert done.stderr == "famus-ray: nope: no such run or study\n"


def test_a_wrong_option_ends_with_code_2(here, tmp_path):
    assert here("train", "digits", "--workers", "0")[0] == 2
    for wrong, cause in (
        (("train", "digits", "--wrkers", "2"), "--wrkers"),
        (("exprt", "x"), "No such command 'exprt'"),
        (("report",), "Missing argument"),
    ):
        code, stdout, stderr = here(*wrong)
        assert (code, stdout) == (2, "")
        assert cause in stderr
    assert list(tmp_path.iterdir()) == []
