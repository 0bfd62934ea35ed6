"""The commands as people type them: what they print, write, refuse and return."""

import json
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
import yaml

from famus_ray.cli import main
from famus_ray.ledger import append_event

PROGRAM = Path(sys.executable).with_name("famus-ray")
SHORT = ("train", "digits", "schedule.epochs=1")


def cli(folder, *arguments):
    """The installed program in a process of its own."""
    return subprocess.run(
        [str(PROGRAM), *arguments], cwd=folder, capture_output=True, text=True, check=False
    )


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """The program in this process, where torch is loaded already: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["famus-ray", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def listing(folder):
    return sorted(str(path.relative_to(folder)) for path in folder.rglob("*"))


def assert_one_line(stderr, found):
    assert stderr.startswith("famus-ray: ")
    assert len(stderr.splitlines()) == 1
    assert found in stderr


@pytest.mark.parametrize("arguments", [["--help"], ["train", "--help"], ["presets", "list"]])
def test_help_comes_without_the_heavy_imports(arguments):
    code = (
        "import sys\n"
        f"sys.argv = {['famus-ray', *arguments]!r}\n"
        "from famus_ray.cli import main\n"
        "try: main()\n"
        "finally: print({'torch', 'ray', 'pandas', 'plotly', 'optuna'} & set(sys.modules))\n"
    )
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.splitlines()[-1] == "set()"


MISTAKES = {
    "train digits meta.lrr=1": "meta.lrr: unknown key, did you mean 'lr'?",
    "train digits noise.rate=2": "noise.rate = 2: must be <= 1",
    "train digits noise.rate": "expected key=value",
    "train digist": "did you mean 'digits'?",
    "tune famsu": "did you mean 'famus'?",
    "tune famus study.trials=0": "study.trials = 0: must be >= 1",
    "trials nope": "nope: no such run or study",
    "trials study --to x.txt": "must end in .csv or .parquet",
    "report nope": "nope: no such run or study",
    "presets show digist": "did you mean 'digits'?",
    "presets copy digits there.yaml": "there.yaml: there already",
    "spaces show famsu": "did you mean 'famus'?",
}


@pytest.mark.parametrize(("command", "found"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_ends_with_one_line_and_code_2_and_writes_nothing(tmp_path, command, found):
    (tmp_path / "there.yaml").write_text("mine")
    (tmp_path / "study").mkdir()
    append_event(tmp_path / "study" / "ledger.jsonl", "started", "a", params={})
    before = listing(tmp_path)
    done = cli(tmp_path, *command.split())
    assert done.returncode == 2
    assert done.stdout == ""
    assert_one_line(done.stderr, found)
    assert listing(tmp_path) == before
    assert (tmp_path / "there.yaml").read_text() == "mine"


LATE_MISTAKES = {
    "data.name=cifar10 data.root=/nowhere": "data.root = /nowhere: no such folder",
    "data.name=cifar100": "set data.root=FOLDER",
    "run.batch_size=5000": "run.batch_size = 5000: more than the",
    "model.name=resnt18": "did you mean resnet18",
    "--resume": "say which run",
    "--name taken": "taken: there already; `famus-ray resume taken` goes on with it",
    "run.root=a_file": "a_file",
}


@pytest.mark.parametrize(("more", "found"), LATE_MISTAKES.items(), ids=LATE_MISTAKES)
def test_what_only_the_training_can_know_is_refused_likewise(here, tmp_path, more, found):
    (tmp_path / "runs" / "taken").mkdir(parents=True)
    (tmp_path / "runs" / "taken" / "config.yaml").write_text("")
    (tmp_path / "a_file").write_text("not a folder")
    before = listing(tmp_path)
    code, stdout, stderr = here(*SHORT, *more.split())
    assert (code, stdout) == (2, "")
    assert_one_line(stderr, found)
    assert listing(tmp_path) == before


def test_a_wrong_option_ends_with_code_2(tmp_path):
    assert cli(tmp_path, "train", "digits", "--workers", "0").returncode == 2
    assert listing(tmp_path) == []


def test_a_dry_run_shows_each_setting_with_its_source_and_writes_nothing(here, tmp_path):
    code, stdout, _ = here(*SHORT, "--name", "x", "--dry-run")
    assert code == 0
    lines = {line.split("#")[0].strip(): line for line in stdout.splitlines()}
    assert lines["epochs: 1"].endswith("# command line")
    assert lines["name: x"].endswith("# --name")
    assert lines["rate: 0.4"].endswith("# digits")
    assert lines["hidden: 100"].endswith("# default")
    assert "18 steps x 1 epochs" in stdout  # 1,194 training examples in batches of 64
    assert yaml.safe_load(stdout)["schedule"]["epochs"] == 1
    assert listing(tmp_path) == []


def test_a_dry_run_as_json_has_config_and_sources(here, tmp_path):
    _, stdout, _ = here(*SHORT, "--dry-run", "--json")
    content = json.loads(stdout)
    assert content["config"]["schedule"]["epochs"] == 1
    assert content["sources"]["schedule.epochs"] == "command line"
    assert listing(tmp_path) == []


def test_a_dry_run_of_a_study_shows_the_space_and_writes_nothing(here, tmp_path):
    _, stdout, _ = here("tune", "famus", "--trials", "7", "schedule.epochs=10", "--dry-run")
    assert "meta.gate_lr" in stdout
    assert "7 trials of at most 10 epochs: at most 70 epochs" in stdout
    assert listing(tmp_path) == []


@pytest.fixture(scope="module")
def trained(tmp_path_factory):
    """A run of one epoch named x, and what the command said."""
    folder = tmp_path_factory.mktemp("trained")
    return folder, cli(folder, *SHORT, "--name", "x", "--json")


def test_train_prints_json_and_nothing_else(trained):
    folder, done = trained
    assert done.returncode == 0
    result = json.loads(done.stdout)
    assert (result["path"], result["epochs"], result["best_epoch"]) == ("runs/x", 1, 1)
    assert 0 <= result["best"] <= 1
    assert result["selected_on"] == "validation"
    assert (folder / result["path"] / "samples.parquet").is_file()


def test_a_finished_run_resumed_prints_the_same_result(trained):
    folder, done = trained
    before = {path: path.read_bytes() for path in folder.rglob("*.parquet")}
    again = cli(folder, *SHORT, "--name", "x", "--resume", "--json")
    assert again.returncode == 0
    assert again.stdout == done.stdout
    assert {path: path.read_bytes() for path in folder.rglob("*.parquet")} == before


def test_a_run_is_resumed_by_its_name_alone(here, trained, monkeypatch):
    folder, done = trained
    monkeypatch.chdir(folder)
    code, stdout, _ = here("resume", "x", "--json")
    assert (code, stdout) == (0, done.stdout)
    assert here("resume", "nope")[0] == 2


def test_a_run_cannot_be_resumed_with_another_setting(here, trained):
    folder, _ = trained
    name = str(folder / "runs" / "x")
    code, _, stderr = here(*SHORT, "--name", name, "--resume", "optimiser.lr=0.3", "run.threads=1")
    assert code == 2
    assert_one_line(stderr, "not the same run: optimiser.lr is 0.05 there and 0.3 here")
    assert "threads" not in stderr  # changes no number


def test_settings_of_studies_do_not_matter_to_a_resumed_run(here, trained):
    name = str(trained[0] / "runs" / "x")
    code, _, stderr = here(*SHORT, "--name", name, "--resume", "study.trials=3")
    assert (code, stderr) == (0, "")


def test_a_damaged_checkpoint_is_named(here, trained, tmp_path):
    shutil.copytree(trained[0] / "runs" / "x", tmp_path / "y")
    (tmp_path / "y" / "checkpoints" / "last.pt").write_bytes(b"junk")
    code, _, stderr = here(*SHORT, "--name", str(tmp_path / "y"), "--resume")
    assert code == 2
    assert_one_line(stderr, "last.pt: not a readable checkpoint")


def test_a_run_can_be_reported_by_its_name(here, trained, monkeypatch):
    monkeypatch.chdir(trained[0])
    code, stdout, _ = here("report", "x", "--json")
    assert code == 0
    assert Path(json.loads(stdout)["report"]).read_text(encoding="utf-8").startswith("<!doctype")


def test_presets_and_spaces_are_listed_and_shown(here):
    assert "digits" in here("presets", "list")[1].split()
    assert "famus" in json.loads(here("spaces", "list", "--json")[1])
    assert yaml.safe_load(here("presets", "show", "digits")[1])["data"]["name"] == "digits"
    assert "meta.lr" in yaml.safe_load(here("spaces", "show", "famus")[1])["space"]
    assert "data" in json.loads(here("presets", "schema")[1])["properties"]


def test_a_copied_preset_can_be_changed_and_used(here, tmp_path):
    assert here("presets", "copy", "digits", "mine.yaml")[:2] == (0, "mine.yaml\n")
    copy = tmp_path / "mine.yaml"
    copy.write_text(copy.read_text().replace("epochs: 30", "epochs: 9"))
    content = json.loads(here("train", "mine.yaml", "--dry-run", "--json")[1])
    assert content["config"]["schedule"]["epochs"] == 9
    assert content["sources"]["schedule.epochs"] == "mine.yaml"


@pytest.fixture
def study(tmp_path):
    """A study of two trials, the second the better one."""
    ledger = tmp_path / "runs" / "s" / "ledger.jsonl"
    ledger.parent.mkdir(parents=True)
    for trial_id, value in (("a", 0.25), ("b", 0.5)):
        append_event(ledger, "started", trial_id, params={"meta.lr": value})
        append_event(ledger, "reported", trial_id, epoch=3, value=value, seconds=1.0)
        append_event(ledger, "completed", trial_id)


def test_trials_come_as_a_table_with_the_best_first(here, study):
    _, stdout, _ = here("trials", "s")
    header, *rows = [line.split() for line in stdout.splitlines()]
    assert header == ["trial", "state", "value", "epochs", "seconds", "meta.lr"]
    assert rows == [["1", "completed", "0.5", "3", "1", "0.5"],
                    ["0", "completed", "0.25", "3", "1", "0.25"]]  # fmt: skip


def test_trials_come_as_json_csv_or_parquet(here, study, tmp_path):
    import pandas as pd

    assert [row["trial"] for row in json.loads(here("trials", "s", "--json")[1])] == [1, 0]
    assert here("trials", "s", "--to", "t.csv")[:2] == (0, "t.csv\n")
    assert here("trials", "s", "--to", "t.parquet")[0] == 0
    for table in (pd.read_csv(tmp_path / "t.csv"), pd.read_parquet(tmp_path / "t.parquet")):
        assert table["value"].tolist() == [0.5, 0.25]
