"""A command of famus-ray as the driver of a job that its scheduler may run again.

    python -m famus_ray.cluster.driver --address HOST:PORT --runs FOLDER --name NAME -- tune famus

The process becomes famus-ray. A run or study gets NAME unless it has a --name, and --or-resume: a
job that is requeued goes on with what it began.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence

from famus_ray.cluster.arguments import job_arguments, named
from famus_ray.errors import UserError

__all__ = ["main", "words_of_driver"]


def words_of_driver(words: Sequence[str], address: str, runs: str, name: str) -> list[str]:
    """The words after `famus-ray`: the same line begins something, and goes on with it."""
    full = job_arguments(words, address, runs)
    if full[0] in ("train", "tune"):
        full += [] if named(full) else ["--name", name]
        full += [] if {"--or-resume", "--resume"} & {*full} else ["--or-resume"]
    return full


def main() -> None:
    """Replaces this process by famus-ray."""
    parser = argparse.ArgumentParser(prog="python -m famus_ray.cluster.driver")
    for option in ("--address", "--runs", "--name"):
        parser.add_argument(option, required=True)
    parser.add_argument("words", nargs="+")
    asked = parser.parse_args()
    try:
        words = words_of_driver(asked.words, asked.address, asked.runs, asked.name)
    except UserError as error:
        print(f"famus-ray: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"$ famus-ray {' '.join(words)}", file=sys.stderr, flush=True)
    start = "from famus_ray.cli import main; main()"
    os.execv(sys.executable, [sys.executable, "-c", start, *words])  # noqa: S606


if __name__ == "__main__":
    main()
