from __future__ import annotations

import socket

import pytest

from famus_ray.cluster.driver import words_of_driver
from famus_ray.cluster.free_ports import free_ports
from famus_ray.errors import UserError


def words(*given: str) -> list[str]:
    return words_of_driver(given, "10.0.0.4:6379", "/runs", "job-7")


ENDS = ["run.root=/runs", "scale.address=10.0.0.4:6379"]


def test_the_same_command_begins_a_study_and_goes_on_with_it():
    named = ["--name", "job-7", "--or-resume"]
    assert words("tune", "famus") == ["tune", "famus", *ENDS, *named]
    assert words("train", "digits") == ["train", "digits", *ENDS, *named]


@pytest.mark.parametrize("name", [("--name", "a"), ("--name=a",), ("run.name=a",)])
def test_a_name_of_the_users_own_is_kept(name: tuple[str, ...]):
    assert words("train", "digits", *name) == ["train", "digits", *name, *ENDS, "--or-resume"]
    given = ("tune", "famus", *name, "--or-resume")
    assert words(*given) == [*given, *ENDS]


def test_other_commands_get_an_address_at_most_and_none_is_refused():
    assert words("trials", "a") == ["trials", "a"]
    assert words("resume", "/runs/a") == ["resume", "/runs/a", ENDS[1]]
    with pytest.raises(UserError, match="no command"):
        words("famus-ray")


def test_free_ports_are_different_and_free():
    ports = free_ports(20)
    assert len(set(ports)) == 20
    for port in ports:
        with socket.socket() as one:
            one.bind(("", port))
