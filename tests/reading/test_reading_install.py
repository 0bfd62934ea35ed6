"""The install that only reads: without torch, Ray and what else trains, and frames without more.

The packages are there, so their imports are refused, in a process of its own.
"""

from __future__ import annotations

import subprocess
import sys
import tomllib
from pathlib import Path

import pytest

from tests.reading.test_frames import study  # noqa: F401 - a fixture

REFUSING = """
import sys
REFUSED = set({refused!r})
class Refusing:
    def find_spec(self, name, path=None, target=None):
        if name.partition(".")[0] in REFUSED:
            raise ModuleNotFoundError(f"No module named {{name!r}}", name=name)
sys.meta_path.insert(0, Refusing())
"""
OF_TRAINING = (
    "torch", "torchvision", "timm", "ray", "optuna", "tensorboardX", "PIL", "psutil", "safetensors",
)  # fmt: skip
OF_REPORTS = ("scipy", "sklearn", "plotly", "jinja2", "typer", "rich")


def without(packages, code, cwd):
    """What a process prints that cannot import the packages, and its exit code."""
    done = subprocess.run(
        [sys.executable, "-c", REFUSING.format(refused=packages) + code],
        cwd=cwd, capture_output=True, text=True, check=False,
    )  # fmt: skip
    return done.returncode, done.stdout, done.stderr


def test_the_packages_of_training_are_an_extra():
    project = tomllib.loads(Path("pyproject.toml").read_text(encoding="utf-8"))["project"]
    names = {"PIL": "pillow"}
    for package in (names.get(name, name) for name in OF_TRAINING):
        assert any(line.startswith(package) for line in project["optional-dependencies"]["train"])
        assert not any(line.startswith(f"{package}>") for line in project["dependencies"])


def test_frames_need_pandas_and_pyarrow(study):  # noqa: F811
    code = (
        "import famus_ray.reading as r\n"
        "print(*map(len, (r.load_trials('one'), r.load_curves('one'), r.load_samples('one'),\n"
        "    r.load_labels('one'), r.load_trials('*'))))\n"
        "print(r.load('one').best.number, r.summarise(r.load_curves('one/trials/0000')).best)\n"
        "from famus_ray.errors import UserError\n"
        "try: r.load_study('one')\n"
        "except UserError as error: print(error)\n"
        "import famus_ray\n"
        "try: famus_ray.train\n"
        "except UserError as error: print(error)\n"
    )
    code, out, err = without(OF_TRAINING + OF_REPORTS[:4], code, study.parents[1])
    assert code == 0, err
    assert out.splitlines() == [
        "4 15 6 6 4",
        "0 0.7",
        "load_study: needs Optuna; pip install optuna",
        out.splitlines()[-1],
    ]
    assert out.splitlines()[-1].endswith(
        "and what is installed here only reads; pip install 'famus-ray[train]'"
    )


@pytest.mark.parametrize("command", ["train digits", "resume one"])
def test_a_command_that_trains_says_what_to_install(study, command):  # noqa: F811
    code = f"sys.argv = {['famus-ray', *command.split()]}\nfrom famus_ray.cli import main; main()"
    code, _, err = without(OF_TRAINING, code, study.parents[1])
    assert code == 2
    last = err.splitlines()[-1]
    assert last.startswith(f"famus-ray: {command.split()[0]}: needs ")
    assert last.endswith("only reads; pip install 'famus-ray[train]'")
