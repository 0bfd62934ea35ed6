"""Slurm: a batch script whose job is the cluster, by sbatch, squeue and scancel."""

from __future__ import annotations

import re
from collections.abc import Mapping
from pathlib import Path

from famus_ray.cluster.arguments import without_program
from famus_ray.cluster.checks import check_file
from famus_ray.cluster.extent import Extent, Group
from famus_ray.cluster.problem import Problem
from famus_ray.cluster.provider import Command, Job
from famus_ray.errors import UserError

__all__ = ["Slurm"]

_OPTION = re.compile(r"^#SBATCH\s+--([\w-]+)[=\s]+(\S+)", re.MULTILINE)
_COLUMNS = "%.10i %.20j %.10T %.10M %.10l %.4D %R"  # the last says what a job waits for


class Slurm:
    """A batch script of Slurm; see `Provider`."""

    kind = "Slurm"
    own_files = ""
    programs: Mapping[str, str] = {
        "sbatch": "run this on a login node of the cluster; Debian's package is slurm-client"
    }

    def check(self, path: Path) -> list[Problem]:
        return check_file(path)

    def extent(self, path: Path) -> Extent:
        options = dict(_OPTION.findall(path.read_text(encoding="utf-8")))
        nodes = options.get("nodes", "1").split("-")
        gpus = re.search(r"(\d+)$", options.get("gpus-per-node", "0"))
        node = Group(
            "nodes",
            int(nodes[0]),
            int(nodes[-1]),
            cpus=float(options.get("cpus-per-task", "1")),
            gpus=float(gpus[1]) if gpus else None,
        )
        end = "each job when its command does"
        if "time" in options:
            end += f", at the latest after --time={options['time']}"
        return Extent([node], price="none in the file: nodes are your cluster's", ends=end)

    def up(self, path: Path) -> list[Command]:
        argv = ("sinfo", "--summarize")
        return [Command(argv, "nothing to start: each job is a cluster of its own; the nodes")]

    def status(self, path: Path) -> list[Command]:
        queue = ("squeue", "--me", f"--name={_name(path)}", f"--format={_COLUMNS}")
        return [Command(queue, "jobs, and what they wait for")]

    def submit(self, path: Path, job: Job) -> list[Command]:
        words = without_program(job.arguments)
        log = Path(f"{job.name}.out")
        argv = ("sbatch", "--wait", f"--output={log}", str(path), *words)
        return [Command(argv, "run it, and follow its log", follow=log)]

    def fetch(self, path: Path, name: str, to: Path) -> list[Command]:
        raise UserError(
            f"{name}: nothing to fetch: a job writes into the folder that you share with the "
            "nodes, runs/ where you submitted it, or FAMUS_RUNS"
        )

    def down(self, path: Path) -> list[Command]:
        argv = ("scancel", "--me", f"--name={_name(path)}")
        return [Command(argv, "end its jobs; each ends its own Ray")]

    def left(self, path: Path) -> list[Command]:
        argv = ("squeue", "--me", f"--name={_name(path)}", "--noheader", f"--format={_COLUMNS}")
        return [Command(argv, "jobs that run or wait", left="jobs; `down` ends them")]

    def afterwards(self, path: Path) -> list[str]:
        return ["Nodes are yours only while a job runs: squeue --me shows whether one still does."]

    def going_on(self, path: Path, job: Job) -> str:
        return f"the job goes on; see it with: tail -f {job.name}.out; end it with: scancel"


def _name(path: Path) -> str:
    """The name of the script's jobs."""
    text = path.read_text(encoding="utf-8")
    found = re.search(r"^#SBATCH\s+(?:--job-name[= ]|-J\s*)(\S+)", text, re.MULTILINE)
    return found[1] if found else path.name
