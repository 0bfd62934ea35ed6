from __future__ import annotations

import socket
from pathlib import Path

import pytest

from famus_ray.cluster.driver import words_of_driver
from famus_ray.cluster.free_ports import free_ports
from famus_ray.errors import UserError


def words(runs: Path, *given: str) -> list[str]:
    return words_of_driver(given, "10.0.0.4:6379", runs, "job-7")


def test_the_same_command_begins_a_study_and_goes_on_with_it(tmp_path: Path):
    ends = [f"run.root={tmp_path}", "scale.address=10.0.0.4:6379"]
    assert words(tmp_path, "tune", "famus") == ["tune", "famus", *ends, "--name", "job-7"]
    (tmp_path / "job-7").mkdir()
    assert words(tmp_path, "tune", "famus")[0] == "tune"  # nothing was begun yet
    (tmp_path / "job-7" / "config.yaml").touch()
    resumed = ["resume", str(tmp_path / "job-7"), "scale.address=10.0.0.4:6379"]
    assert words(tmp_path, "tune", "famus") == resumed


@pytest.mark.parametrize("name", [("--name", "a"), ("--name=a",), ("run.name=a",)])
def test_a_name_of_the_users_own_is_kept(tmp_path: Path, name: tuple[str, ...]):
    assert "job-7" not in words(tmp_path, "train", "digits", *name)
    (tmp_path / "a").mkdir()
    (tmp_path / "a" / "config.yaml").touch()
    assert words(tmp_path, "train", "digits", *name)[:2] == ["resume", str(tmp_path / "a")]
    other = tmp_path / "other"
    assert words(other, "train", "digits", *name, f"run.root={tmp_path}")[0] == "resume"
    assert words(other, "train", "digits", *name)[0] == "train"


def test_other_commands_pass_unchanged_and_none_is_refused(tmp_path: Path):
    assert words(tmp_path, "trials", "a") == ["trials", "a"]
    with pytest.raises(UserError, match="no command"):
        words(tmp_path, "famus-ray")


def test_free_ports_are_different_and_free():
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as one:
            one.bind(("", port))
