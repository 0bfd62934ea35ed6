"""What a kind of cluster can do: the same few verbs for each, as commands to run or to print."""

from __future__ import annotations

import shlex
from collections.abc import Mapping, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import Protocol

from famus_ray.cluster.extent import Extent
from famus_ray.cluster.problem import Problem

__all__ = ["Command", "Job", "Provider", "Until"]


@dataclass(frozen=True)
class Until:
    """A command is repeated until its output holds a text so many times.

    Attributes:
        text: the text to look for.
        times: how often it must be there.
        seconds: how long to go on.
        otherwise: what to say when it was never there that often.
        never: a text that ends the waiting at once; its lines are shown.
    """

    text: str
    times: int
    seconds: float
    otherwise: str
    never: str = ""


@dataclass(frozen=True)
class Command:
    """One command of another program.

    Attributes:
        argv: the program and its arguments; there is no shell on this machine.
        why: what it is for, in a few words.
        env: variables that it gets besides those of this process.
        quiet: its output is not shown, because it is a secret or only read.
        may_fail: the commands after it run even if it fails.
        until: repeated until its output says so.
        exit_code_in: a regular expression; its group, in the output, is the exit code of the job.
        stdin: text for its standard input.
        to: a file for its standard output.
        follow: a file whose lines are shown as they are written, while the command runs.
        left: what there is if it prints something; the exit code is then 1. The commands after it
            run nevertheless.
    """

    argv: tuple[str, ...]
    why: str
    env: Mapping[str, str] = field(default_factory=dict)
    quiet: bool = False
    may_fail: bool = False
    until: Until | None = None
    exit_code_in: str = ""
    stdin: str = ""
    to: Path | None = None
    follow: Path | None = None
    left: str = ""

    def __str__(self) -> str:
        """The command as it could be typed in a shell."""
        words = [*(f"{name}={shlex.quote(value)}" for name, value in self.env.items())]
        words += [shlex.join(self.argv)]
        words += [f"> {shlex.quote(str(self.to))}"] if self.to else []
        return " ".join(words)


@dataclass(frozen=True)
class Job:
    """A command of famus-ray for a cluster.

    Attributes:
        name: the job's name, unique on the cluster.
        arguments: the command, such as ("tune", "famus").
        files: those of the working directory that the command needs, by their paths in it.
    """

    name: str
    arguments: tuple[str, ...]
    files: tuple[str, ...] = ()


class Provider(Protocol):
    """A kind of cluster. Every verb but `check` returns the commands that do it.

    Attributes:
        kind: how the kind is named to users.
        programs: what must be installed on this machine, and how it is installed.
        own_files: what a user must do so that own modules and YAML files are there; empty if
            `submit` sends them along, or they are shared.
    """

    kind: str
    programs: Mapping[str, str]
    own_files: str

    def check(self, path: Path) -> list[Problem]:
        """Every problem of the file; nothing is started."""

    def extent(self, path: Path) -> Extent:
        """How large the cluster may become, what it costs, and when it ends."""

    def up(self, path: Path) -> list[Command]:
        """Starts the cluster, and waits until all of its machines have joined."""

    def status(self, path: Path) -> list[Command]:
        """Shows machines and jobs, and what they wait for."""

    def submit(self, path: Path, job: Job) -> list[Command]:
        """Runs a job, shows its log, and ends with its exit code."""

    def fetch(self, path: Path, name: str, to: Path) -> list[Command]:
        """Copies a run folder of the cluster into the folder `to`."""

    def down(self, path: Path) -> list[Command]:
        """Ends all of the cluster's machines and processes."""

    def left(self, path: Path) -> list[Command]:
        """Lists what of the cluster is still there, and billed; it ends nothing."""

    def afterwards(self, path: Path) -> Sequence[str]:
        """What stays after `down`, and what of it is billed."""

    def going_on(self, path: Path, job: Job) -> str:
        """How a job is seen to that goes on although its log is no longer followed."""
