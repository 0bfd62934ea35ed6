"""Whether the machines of a cluster agree: they see one folder, and have the same versions.

    python -m famus_ray.cluster.agree --write FOLDER    on the head
    python -m famus_ray.cluster.agree FOLDER            on each worker

It imports neither torch nor Ray, so it takes a fraction of a second. Exit code 1, with what differs
and what to do, if a worker does not agree with the head.
"""

from __future__ import annotations

import argparse
import json
import os
import platform
import sys
from pathlib import Path

from famus_ray.files import write_text
from famus_ray.installed import differing, found_here

__all__ = ["DISAGREES", "main", "what_differs"]

DISAGREES = "does not agree with the head"

_NAME = ".famus-cluster.json"  # in the folder of the runs


def what_differs(folder: Path) -> list[str]:
    """What keeps this machine from working with the head, one line each; empty if nothing does."""
    path = folder / _NAME
    if not path.is_file():
        return [
            f"{folder}: the head has written {_NAME} there, and this machine does not see it; "
            "mount the same folder on all machines"
        ]
    head = json.loads(path.read_text(encoding="utf-8"))
    lines = [f"{line}; install the same on both" for line in differing(found_here(), head)]
    return lines if os.access(folder, os.W_OK) else [*lines, f"{folder}: cannot be written to"]


def main(words: list[str] | None = None) -> int:
    """The command: writes down what the head has, or compares a worker with it."""
    parser = argparse.ArgumentParser(prog="python -m famus_ray.cluster.agree")
    parser.add_argument("folder", type=Path, help="the folder for runs that all machines see")
    parser.add_argument("--write", action="store_true", help="this machine is the head")
    asked = parser.parse_args(words)
    if asked.write:
        asked.folder.mkdir(parents=True, exist_ok=True)
        write_text(asked.folder / _NAME, json.dumps(found_here()))
        return 0
    lines = what_differs(asked.folder)
    for line in lines:
        print(f"{platform.node()} {DISAGREES}: {line}", file=sys.stderr)
    return 1 if lines else 0


if __name__ == "__main__":
    sys.exit(main())
