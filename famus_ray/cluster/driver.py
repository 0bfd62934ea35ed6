"""A command of famus-ray as the driver of a job that its scheduler may run again.

    python -m famus_ray.cluster.driver --address HOST:PORT --runs FOLDER --name NAME -- tune famus

The process becomes famus-ray. A new run or study gets NAME unless it has a --name; where that name
was begun before, by a job that was requeued, the command goes on with it.
"""

from __future__ import annotations

import argparse
import os
import sys
from collections.abc import Sequence
from pathlib import Path

from famus_ray.cluster.arguments import job_arguments, named
from famus_ray.errors import UserError

__all__ = ["main", "words_of_driver"]


def words_of_driver(words: Sequence[str], address: str, runs: Path, name: str) -> list[str]:
    """The words after `famus-ray`: those given, or `resume` of what they began before."""
    full = job_arguments(words, address, str(runs))
    if full[0] not in ("train", "tune"):
        return full
    if named(full) is None:
        full += ["--name", name]
    folder = runs / (named(full) or name)
    roots = [word.partition("=")[2] for word in full if word.startswith("run.root=")]
    folder = Path(roots[-1]) / folder.name if roots else folder
    if not (folder / "config.yaml").is_file():
        return full
    return ["resume", str(folder), f"scale.address={address}"]


def main() -> None:
    """Replaces this process by famus-ray."""
    parser = argparse.ArgumentParser(prog="python -m famus_ray.cluster.driver")
    for option in ("--address", "--runs", "--name"):
        parser.add_argument(option, required=True)
    parser.add_argument("words", nargs="+")
    asked = parser.parse_args()
    try:
        words = words_of_driver(asked.words, asked.address, Path(asked.runs), asked.name)
    except UserError as error:
        print(f"famus-ray: {error}", file=sys.stderr)
        sys.exit(2)
    print(f"$ famus-ray {' '.join(words)}", file=sys.stderr, flush=True)
    start = "from famus_ray.cli import main; main()"
    os.execv(sys.executable, [sys.executable, "-c", start, *words])  # noqa: S606


if __name__ == "__main__":
    main()
