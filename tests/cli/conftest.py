"""The program as people type it, in this process, where torch is loaded already."""

from __future__ import annotations

import shlex
import subprocess
import sys
from pathlib import Path

import pytest

from famus_ray.cli import main

PROGRAM = Path(sys.executable).with_name("famus-ray")


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """Run a command in a new folder: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["famus-ray", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


@pytest.fixture
def refused(here, tmp_path):
    """Assert that a command ends with one line that holds `found`, code 2, and nothing written.

    Returns stdout, which only a dry run fills before.
    """

    def listing():
        return sorted(str(path.relative_to(tmp_path)) for path in tmp_path.rglob("*"))

    def run(command, found):
        before = listing()
        code, stdout, stderr = here(*shlex.split(command))
        assert code == 2, stderr
        begun, _, message = f"\n{stderr}".partition("\nfamus-ray: ")
        assert begun.count("\n") <= 1, stderr  # what it is about to do, and where
        assert all(line.startswith("  - ") for line in message.splitlines()[1:]), stderr
        assert found in message
        assert listing() == before
        return stdout

    return run


@pytest.fixture(scope="session")
def trained(tmp_path_factory):
    """A folder with a finished run of one epoch named x, and what its command printed as JSON."""
    folder = tmp_path_factory.mktemp("trained")
    done = subprocess.run(
        [str(PROGRAM), "train", "digits", "schedule.epochs=1", "--name", "x", "--json"],
        cwd=folder, capture_output=True, text=True, check=True,
    )  # fmt: skip
    return folder, done.stdout
