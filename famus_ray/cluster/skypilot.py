"""SkyPilot: a task on whatever cloud is cheapest, by sky."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

import yaml

from famus_ray.cluster.arguments import without_program
from famus_ray.cluster.checks import check_file
from famus_ray.cluster.extent import Extent, Group
from famus_ray.cluster.problem import Problem
from famus_ray.cluster.provider import Command, Job
from famus_ray.errors import UserError

__all__ = ["SkyPilot"]


class SkyPilot:
    """A task of SkyPilot; see `Provider`. Its variable FAMUS holds the words after famus-ray."""

    kind = "SkyPilot"
    own_files = (
        "they go along if they are in the task's workdir, the folder that sky is typed in; put "
        "them there"
    )
    programs: Mapping[str, str] = {"sky": "pip install skypilot, in an environment of its own"}

    def check(self, path: Path) -> list[Problem]:
        return check_file(path)

    def extent(self, path: Path) -> Extent:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        nodes, wanted = int(content.get("num_nodes", 1)), content.get("resources") or {}
        gpus = str(wanted.get("accelerators") or "none")
        machine = Group(f"machines with {gpus}", nodes, nodes)
        stop = wanted.get("autostop")
        idle = stop.get("idle_minutes") if isinstance(stop, dict) else None
        return Extent(
            [machine],
            price="the cheapest that sky finds; sky launch --dryrun says it",
            ends=f"after {idle} idle minutes" if idle else "not by itself: `down` ends it",
        )

    def up(self, path: Path) -> list[Command]:
        return [
            Command(("sky", "check"), "nothing to start: submit does; which clouds are ready"),
            Command(("sky", "launch", "--dryrun", str(path)), "what it would rent, and the price"),
        ]

    def status(self, path: Path) -> list[Command]:
        return [
            Command(("sky", "status", "--refresh", _name(path)), "machines"),
            Command(("sky", "queue", _name(path)), "jobs", may_fail=True),
        ]

    def submit(self, path: Path, job: Job) -> list[Command]:
        words = " ".join(without_program(job.arguments))
        if "$FAMUS" not in path.read_text(encoding="utf-8"):
            raise UserError(f"{path}: its part run must be famus-ray $FAMUS, to run what you give")
        argv = ("sky", "launch", "--yes", "--cluster", _name(path), "--name", job.name)
        secret = ("--secret", "RAY_AUTH_TOKEN")  # its value is taken from the environment
        return [Command((*argv, "--env", f"FAMUS={words}", *secret, str(path)), "run it")]

    def fetch(self, path: Path, name: str, to: Path) -> list[Command]:
        argv = ("rsync", "-a", f"{_name(path)}:{name}", f"{to}/")
        return [Command(argv, "copy the run folder; sky has told ssh the machine's name")]

    def down(self, path: Path) -> list[Command]:
        return [Command(("sky", "down", "--yes", _name(path)), "end its machines")]

    def left(self, path: Path) -> list[Command]:
        # It has no option that prints nothing where there is nothing.
        return [Command(("sky", "status", "--refresh", _name(path)), "machines that are there")]

    def afterwards(self, path: Path) -> list[str]:
        return ["Still billed: buckets. `sky status` and `sky storage ls` list what there is."]

    def going_on(self, path: Path, job: Job) -> str:
        return f"the job goes on; see it with: sky logs {_name(path)}"


def _name(path: Path) -> str:
    content = yaml.safe_load(path.read_text(encoding="utf-8"))
    return str(content.get("name", path.stem))
