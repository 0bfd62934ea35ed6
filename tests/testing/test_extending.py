"""docs/extending.md: its files are written, and its commands run, as a reader would."""

from __future__ import annotations

import re
import shlex
import subprocess
import sys
from pathlib import Path

import pytest

import famus_ray as fr
from famus_ray.cli import main
from famus_ray.config.import_path import imported
from famus_ray.config.schema import ModelConfig
from famus_ray.models.catalog import build_model
from famus_ray.testing import check_groups, check_reader, check_sampler

PAGE = (Path(__file__).parents[2] / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))
COMMANDS = re.findall(r"```sh\n(famus-ray (?:train|tune) .*?)\n```", PAGE)


@pytest.fixture(scope="module")
def folder(tmp_path_factory) -> Path:
    folder: Path = tmp_path_factory.mktemp("extending")
    for name, text in FILES.items():
        (folder / name).write_text(text, encoding="utf-8")
    return folder


@pytest.fixture
def here(folder, monkeypatch, capsys):
    """Runs the program in that folder, in this process: exit code, stdout, stderr."""
    monkeypatch.chdir(folder)
    monkeypatch.setattr(sys, "path", [*sys.path])

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["famus-ray", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def test_the_page_has_an_example_of_each():
    assert {*FILES} == {
        "bootstrap.py", "test_bootstrap.py", "squares.py", "halves.py", "greedy.py",
    }  # fmt: skip
    assert len(COMMANDS) == 4


FEW = ("schedule.epochs=2", "schedule.kind=constant")
TRAIN = [c for c in COMMANDS if " train " in c]


def test_the_installed_program_finds_a_method_in_the_working_directory(folder):
    program = Path(sys.executable).with_name("famus-ray")
    words = [str(program), *shlex.split(TRAIN[0])[1:], *FEW]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stderr
    assert "next: " in done.stdout


@pytest.mark.parametrize("command", TRAIN[1:], ids=lambda c: c.split()[3])
def test_a_command_of_the_page_trains_with_what_is_in_the_working_directory(here, command):
    code, printed, errors = here(*shlex.split(command)[1:], *FEW)
    assert code == 0, errors
    assert "next: " in printed


def test_a_method_of_ones_own_learns_and_names_its_run(folder):
    runs = [path for path in (folder / "runs").iterdir() if "bootstrap" in path.name]
    assert [path.name for path in runs] == ["digits-bootstrap"]
    curves = fr.load_curves(runs[0])
    assert curves[curves["metric"] == "train/loss"]["value"].is_monotonic_decreasing


def test_the_test_of_the_page_passes(folder):
    words = [sys.executable, "-m", "pytest", "-q", "-k", "training", "test_bootstrap.py"]
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert "1 passed, 4 deselected" in done.stdout, done.stdout + done.stderr


def test_the_checks_of_the_page_hold(here, folder, tmp_path):
    check_reader("data.name=squares:read")
    network = build_model(ModelConfig(name="preact_resnet8"), 10, 1)
    check_groups(imported("halves:halves")(network), network)
    check_sampler("greedy:sampler", tmp_path)


def test_the_search_of_the_page_can_start(here):
    (command,) = (c for c in COMMANDS if " tune " in c)
    code, _, errors = here(*shlex.split(command)[1:], "--dry-run")
    assert code == 0, errors


@pytest.mark.parametrize(
    ("setting", "found"),
    [
        ("method=bootstrap:NOTHING", "method.name = bootstrap:NOTHING: cannot be imported"),
        ("method=nowhere:METHOD", "cannot be imported (No module named 'nowhere', looked for in"),
        ("method=bootstrap:build", "is a function, not a famus_ray.config.methods.Method"),
        ("method.options={beta: 2}", "method famus has no settings of its own"),
        ("data.name=squares:nothing", "data.name = squares:nothing: cannot be imported"),
        ("meta.grouping=greedy:optuna", "is a module, not a function"),
        ("meta.grouping=halfes", "must be one of tensor, layer, block, stage, patterns, or an"),
    ],
)
def test_what_is_not_there_or_something_else_is_one_clear_message(here, folder, setting, found):
    code, _, errors = here("train", "digits", setting, "--name", "never")
    assert code == 2
    assert found in errors
    assert not (folder / "runs" / "never").exists()


def test_settings_of_a_methods_own_are_checked(here):
    words = ["method=bootstrap:METHOD", "method.options={beta: 2, gama: 1}", "--dry-run"]
    code, _, errors = here("train", "digits", *words)
    assert code == 2
    assert "beta: Input should be less than or equal to 1" in errors
    assert "gama: Extra inputs are not permitted" in errors
