"""One process at a time in a folder: claimed at the start, free again after any end."""

from __future__ import annotations

import errno
import fcntl
import signal
import subprocess
import sys
from pathlib import Path

import pytest

from famus_ray.config import resolve
from famus_ray.errors import UserError
from famus_ray.records.claim import claimed, is_claimed
from famus_ray.run_path import claimed_new, claimed_run, new_path

CLAIM = """
import sys, time
from famus_ray.config import resolve
from famus_ray.run_path import claimed_new
config = resolve("digits", sys.argv[1:]).config
print("ready", flush=True)
sys.stdin.readline()
try:
    with claimed_new(config, "stem") as path:
        (path / "config.yaml").write_text("")
        print(path.name, flush=True)
        sys.stdin.readline()
except ValueError as error:
    print(error, flush=True)
"""


def config(tmp_path: Path, *settings: str):
    return resolve("digits", (f"run.root={tmp_path / 'runs'}", *settings)).config


def start(*settings: str) -> subprocess.Popen:
    command = [sys.executable, "-c", CLAIM, *settings]
    return subprocess.Popen(command, stdin=subprocess.PIPE, stdout=subprocess.PIPE, text=True)


def go(process: subprocess.Popen) -> None:
    process.stdin.write("\n")
    process.stdin.flush()


@pytest.mark.parametrize("name", [None, "mine"])
def test_of_processes_that_start_together_each_gets_a_folder_or_is_refused(tmp_path: Path, name):
    settings = [f"run.root={tmp_path / 'runs'}", *([f"run.name={name}"] if name else [])]
    processes = [start(*settings) for _ in range(3)]
    assert {process.stdout.readline() for process in processes} == {"ready\n"}
    for process in processes:
        go(process)
    told = {process.pid: process.stdout.readline().strip() for process in processes}
    if name is None:
        assert sorted(told.values()) == ["stem", "stem-2", "stem-3"]
    else:
        (first,) = (pid for pid, line in told.items() if line == "mine")
        refused = [line for pid, line in told.items() if pid != first]
        assert all(f"in use: process {first} of " in line for line in refused)
    for process in processes:
        process.send_signal(signal.SIGKILL)
        process.communicate()
    for path in (tmp_path / "runs").iterdir():
        assert not is_claimed(path)  # whatever ended its process


def test_a_folder_in_use_is_refused_and_free_again_afterwards(tmp_path: Path):
    mine = config(tmp_path, "run.name=mine")
    with claimed_new(mine, "stem") as path:
        assert is_claimed(path)
        with pytest.raises(UserError, match=r"mine: in use: process .* is running it"):
            new_path(mine, "stem")
        (path / "config.yaml").write_text("")
        with (
            pytest.raises(UserError, match="in use: process"),
            claimed_run(mine, resume=True),
        ):
            pass
    assert [p.name for p in path.iterdir()] == ["config.yaml"]
    with claimed_run(mine, resume=True):
        assert is_claimed(path)


def test_where_nothing_was_written_nothing_is_left(tmp_path: Path):
    def refused() -> None:
        with claimed_new(config(tmp_path, "run.name=a/b"), "stem"):
            raise UserError("no data")

    with pytest.raises(UserError, match="no data"):
        refused()
    assert list(tmp_path.iterdir()) == []
    (tmp_path / "runs").mkdir()  # not made here, so it stays
    with pytest.raises(UserError, match="no data"):
        refused()
    assert list(tmp_path.rglob("*")) == [tmp_path / "runs"]


def test_what_a_crash_left_before_it_began_is_no_run(tmp_path: Path):
    left = tmp_path / "runs" / "mine"
    left.mkdir(parents=True)
    (left / ".lock").write_text("{}")
    with claimed_new(config(tmp_path, "run.name=mine"), "stem") as path:
        assert path == left


def test_without_locks_a_new_folder_is_still_one_process_s(tmp_path: Path, monkeypatch):
    def no_locks(*_: object) -> None:
        raise OSError(errno.ENOLCK, "No locks available")

    monkeypatch.setattr(fcntl, "flock", no_locks)
    with (
        claimed(tmp_path / "a", fresh=True),
        pytest.raises(FileExistsError),
        claimed(tmp_path / "a", fresh=True),
    ):
        pass


def test_a_root_that_cannot_be_written_is_told(tmp_path: Path):
    where = "/proc/famus" if sys.platform == "linux" else "/dev/null/famus"
    with (
        pytest.raises(UserError, match=f"{where}/stem: cannot be written to"),
        claimed_new(resolve("digits", (f"run.root={where}",)).config, "stem"),
    ):
        pass
