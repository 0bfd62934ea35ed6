"""Runs the commands of other programs, one after the other, and prints each before."""

from __future__ import annotations

import os
import re
import shutil
import subprocess
import sys
import threading
import time
from collections.abc import Collection, Iterable, Iterator, Mapping, Sequence
from contextlib import contextmanager
from pathlib import Path
from typing import IO, Any

from famus_ray.cluster.left_behind import CLOUD_PROGRAMS
from famus_ray.cluster.provider import Command
from famus_ray.errors import UserError

__all__ = ["check_programs", "printed", "run_all"]

_LOOK_EVERY = 2.0  # seconds between two attempts
_READ_EVERY = 0.2  # seconds between two looks at a followed file


def printed(commands: Iterable[Command]) -> Iterator[str]:
    """The lines that tell of commands: why, the command itself, and what it reads."""
    for command in commands:
        yield f"# {command.why}"
        yield f"$ {command}"
        yield from (f"    {line}" for line in command.stdin.splitlines())


def check_programs(programs: Mapping[str, str], used: Collection[str] = ()) -> None:
    """Raises UserError if a program is not on this machine.

    Args:
        programs: those of a kind of cluster, and how each is installed.
        used: those that commands begin with; a cloud's own may be among them.
    """
    needed = {**programs, **{name: CLOUD_PROGRAMS[name] for name in used if name in CLOUD_PROGRAMS}}
    missing = [name for name in needed if shutil.which(name, path=_path()) is None]
    if missing:
        how = "; ".join(f"{name}: {needed[name]}" for name in missing)
        raise UserError(f"not on this machine: {', '.join(missing)}; install it first ({how})")


def run_all(commands: Sequence[Command]) -> int:
    """Runs commands until one fails; returns the exit code of the job or of the one that failed."""
    job: int | None = None
    left = 0
    for command in commands:
        for line in printed([command]):
            print(line, file=sys.stderr, flush=True)
        code, output = _run(command)
        if command.exit_code_in:
            found = re.search(command.exit_code_in, output)
            return int(found[1]) if found else code or 1
        if command.left:
            left = max(left, _told_of(command, code, output))
            continue
        if code and not command.may_fail:
            return code
        job = code if command.follow else job
    return job or left


def _told_of(command: Command, code: int, output: str) -> int:
    """Says what a command found to be left, or that it failed; returns 1 then."""
    print(output, end="", flush=True)
    if code:
        print(f"not known: {command.left}", file=sys.stderr, flush=True)
    elif output.strip():
        print(f"still there: {command.left}", file=sys.stderr, flush=True)
    return 1 if code or output.strip() else 0


def _run(command: Command) -> tuple[int, str]:
    """Exit code and output; the output is empty if it is shown and nobody reads it."""
    if command.until is None:
        return _once(command)
    until, end = command.until, time.monotonic() + command.until.seconds
    while True:
        _, output = _once(command)
        if output.count(until.text) >= until.times:
            return 0, output
        against = [line for line in output.splitlines() if until.never and until.never in line]
        if against or time.monotonic() > end:
            for line in dict.fromkeys(against):
                print(line, file=sys.stderr)
            many = f"{output.count(until.text)} of {until.times}"
            print(f"{many}: {until.otherwise}", file=sys.stderr, flush=True)
            return 1, output
        time.sleep(_LOOK_EVERY)


def _once(command: Command) -> tuple[int, str]:
    read = bool(command.until or command.exit_code_in or command.left)
    settings: dict[str, Any] = {"input": command.stdin} if command.stdin else {}
    if not command.stdin:
        settings["stdin"] = subprocess.DEVNULL
    with _target(command, read) as stdout, _followed(command.follow):
        done = subprocess.run(  # noqa: S603 - a list of words, no shell
            command.argv,
            env={**os.environ, "PATH": _path(), **command.env},
            stdout=stdout,
            stderr=subprocess.STDOUT if read and not command.left else None,
            text=True,
            errors="replace",
            check=False,
            **settings,
        )
    return done.returncode, done.stdout or ""


@contextmanager
def _target(command: Command, read: bool) -> Iterator[int | IO[bytes] | None]:
    """Where the standard output goes: into a pipe, nowhere, into a file, or to the terminal."""
    if command.to is not None:
        command.to.parent.mkdir(parents=True, exist_ok=True)
        with command.to.open("wb") as file:
            yield file
    elif read:
        yield subprocess.PIPE
    else:
        yield subprocess.DEVNULL if command.quiet else None


@contextmanager
def _followed(path: Path | None) -> Iterator[None]:
    """Inside, what is written to the file is shown; at the end all of it has been."""
    if path is None:
        yield
        return
    ended = threading.Event()
    reader = threading.Thread(target=_show, args=(path, ended), daemon=True)
    reader.start()
    try:
        yield
    finally:
        ended.set()
        reader.join()


def _show(path: Path, ended: threading.Event) -> None:
    place = 0
    while True:
        last = ended.wait(_READ_EVERY)
        if path.is_file():
            with path.open(encoding="utf-8", errors="replace") as file:
                file.seek(place)
                sys.stdout.write(file.read())
                sys.stdout.flush()
                place = file.tell()
        if last:
            return


def _path() -> str:
    """Where programs are looked for: first beside the Python of this process, as `ray` is."""
    return os.pathsep.join((str(Path(sys.executable).parent), os.environ.get("PATH", "")))
