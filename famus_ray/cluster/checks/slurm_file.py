"""Slurm's batch scripts: options, limits, and what disturbs other jobs of a node."""

from __future__ import annotations

import re
from collections.abc import Iterator
from pathlib import Path

from famus_ray.cluster.checks.safety import dashboard_host
from famus_ray.cluster.checks.secrets import secret_in
from famus_ray.cluster.checks.versions import ray_here, ray_versions
from famus_ray.cluster.problem import Problem
from famus_ray.errors import did_you_mean

__all__ = ["check_slurm", "is_slurm"]

_OPTIONS = tuple(
    re.findall(
        r"\S+",
        """
        account acctg-freq array batch bb bbf begin chdir cluster-constraint clusters comment
        constraint container container-id contiguous core-spec cores-per-socket cpu-freq
        cpus-per-gpu cpus-per-task deadline delay-boot dependency distribution error exclude
        exclusive export export-file extra extra-node-info get-user-env gid gpu-bind gpu-freq
        gpus gpus-per-node gpus-per-socket gpus-per-task gres gres-flags hint hold ignore-pbs
        input job-name kill-on-invalid-dep licenses mail-type mail-user mcs-label mem mem-bind
        mem-per-cpu mem-per-gpu mincpus network nice no-kill no-requeue nodefile nodelist nodes
        ntasks ntasks-per-core ntasks-per-gpu ntasks-per-node ntasks-per-socket open-mode output
        overcommit oversubscribe parsable partition power prefer priority profile propagate qos
        quiet reboot requeue reservation resv-ports segment signal sockets-per-node spread-job
        stepmgr switches test-only thread-spec threads-per-core time time-min tmp tres-bind
        tres-per-task uid use-min-nodes verbose wait wait-all-nodes wckey wrap
        """,
    )
)
_SHORT = {"A": "account", "a": "array", "c": "cpus-per-task", "C": "constraint", "d": "dependency"}
_SHORT |= {"D": "chdir", "e": "error", "J": "job-name", "N": "nodes", "n": "ntasks", "o": "output"}
_SHORT |= {"p": "partition", "q": "qos", "t": "time", "w": "nodelist", "x": "exclude", "G": "gpus"}
_LINE = re.compile(r"#SBATCH\s+(?:--([\w-]+)|-(\w))(?:[=\s]+(\S+))?")
_TIME = re.compile(r"(\d+-)?\d+(:\d+){0,2}")


def is_slurm(path: Path, text: str) -> bool:
    """Whether a file is a batch script of Slurm."""
    return path.suffix in (".sbatch", ".slurm") or (text.startswith("#!") and "#SBATCH" in text)


def check_slurm(path: Path, text: str) -> list[Problem]:
    """Problems of a batch script."""
    lines = list(enumerate(text.splitlines(), start=1))
    options = {name: (line, value) for line, name, value in _options(lines)}
    problems = [*_unknown(path, lines), *_limits(path, options)]
    for number, line in lines:
        if not line.lstrip().startswith("#"):
            problems += [Problem(path, number, *told) for told in _told(line)]
        if what := secret_in(line):
            mend = "remove it, and renew it; read it from a file of mode 0600"
            problems.append(Problem(path, number, "secret", f"holds a secret ({what})", mend))
    problems += _of_ray(path, lines)
    return sorted(set(problems))


def _options(lines: list[tuple[int, str]]) -> Iterator[tuple[int, str, str]]:
    """The line, name and value of each option."""
    for number, line in lines:
        if found := _LINE.match(line):
            yield number, found[1] or _SHORT.get(found[2], found[2]), found[3] or ""


def _unknown(path: Path, lines: list[tuple[int, str]]) -> Iterator[Problem]:
    first = next(
        (n for n, line in lines if line.strip() and not line.startswith("#")), len(lines) + 1
    )
    for number, name, _ in _options(lines):
        if len(name) > 1 and name not in _OPTIONS:
            what = f"--{name}: unknown option{did_you_mean(name, _OPTIONS)}"
            yield Problem(path, number, "option", what, "correct its name; see man sbatch")
        if number > first:
            what = f"--{name}: below the first command, where Slurm does not read it"
            yield Problem(path, number, "option-unread", what, f"move it above line {first}")


def _limits(path: Path, options: dict[str, tuple[int, str]]) -> Iterator[Problem]:
    line, limit = options.get("time", (1, ""))
    if not _TIME.fullmatch(limit):
        what = f"--time={limit}: no limit" if limit else "no --time: the partition's limit, or none"
        yield Problem(path, line, "time-limit", what, "write #SBATCH --time=HH:MM:SS")
    if "requeue" not in options:
        what = "no --requeue: a job whose node dies is lost"
        line = options.get("no-requeue", (1, ""))[0]
        yield Problem(path, line, "requeue", what, "write #SBATCH --requeue")
    for name in ("output", "error"):
        line, file = options.get(name, (1, "%j"))
        if not re.search(r"%[jAJ]", file):
            what = f"--{name}={file}: two jobs write into one file"
            yield Problem(path, line, "output", what, f"write --{name}=NAME-%j.out")


def _told(line: str) -> Iterator[tuple[str, str, str]]:
    """The rule, the fault and the mend for what one line does that it should not."""
    if re.search(r"\bray stop\b|\b(pkill|killall)\b", line):
        what = "ends other jobs on the node too"
        yield "ray-stop", what, "end the step by its process id, or let Slurm do it"
    port = re.search(r"--port[=\s]+[\"']?([0-9]{2,5})\b", line)
    if port and ("ray start" in line or "--head" in line):
        what = f"port {port[1]} is fixed: two jobs on a node take it from each other"
        yield "ports", what, "take --port=0 and write the port that was taken into a file"
    folder = re.search(r"--temp-dir[=\s]+(\S+)", line)
    if folder and "$" not in folder[1]:
        what = f"--temp-dir={folder[1]}: two jobs on a node write into it"
        yield "temp-dir", what, "write --temp-dir=/tmp/ray-$SLURM_JOB_ID"
    if host := dashboard_host(line):
        what = f"the dashboard is open to {host}: every user of the cluster runs commands by it"
        yield "dashboard", what, "write --dashboard-host=127.0.0.1"
    if re.search(r"RAY_AUTH_MODE=[\"']?(?!token)", line):
        yield "token", "the token is switched off", "write RAY_AUTH_MODE=token"
    if re.search(r"ray symmetric-run\b", line):
        what = "ray symmetric-run loses exit codes, and its workers time out"
        yield "symmetric-run", what, "start head and workers by ray start --block"
    for version in ray_versions(line):
        if version != f"=={ray_here()}":
            what = f"Ray {version.removeprefix('==')}, and {ray_here()} here"
            mend = f"write {ray_here()}: versions must be equal on all machines"
            yield "version", what, mend


def _of_ray(path: Path, lines: list[tuple[int, str]]) -> Iterator[Problem]:
    """What a script that starts Ray must have somewhere."""
    code = [(n, line) for n, line in lines if not line.lstrip().startswith("#")]
    start = next((n for n, line in code if re.search(r"\bray start\b", line)), None)
    text = "\n".join(line for _, line in code)
    if start is None:
        return
    if "RAY_AUTH_MODE=token" not in text:
        what = "no token: every user of the cluster may run commands as you"
        mend = "write export RAY_AUTH_MODE=token, and make a token for each job with umask 077"
        yield Problem(path, start, "token", what, mend)
    if "--temp-dir" not in text:
        what = "no --temp-dir: two jobs on a node write into one folder"
        yield Problem(path, start, "temp-dir", what, "write --temp-dir=/tmp/ray-$SLURM_JOB_ID")
    if "set -e" not in text and "set -o errexit" not in text:
        what = "errors are ignored: the job ends with 0 although a step failed"
        yield Problem(path, 1, "exit-code", what, "write set -euo pipefail")
