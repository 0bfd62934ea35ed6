"""Machines of one's own, and clouds, by Ray's launcher: `ray up` and what belongs to it."""

from __future__ import annotations

import os
import shlex
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import yaml

from famus_ray.cluster.agree import DISAGREES
from famus_ray.cluster.arguments import job_arguments
from famus_ray.cluster.checks import check_file
from famus_ray.cluster.extent import Extent
from famus_ray.cluster.left_behind import left_of_ray, over_ssh
from famus_ray.cluster.problem import Problem
from famus_ray.cluster.provider import Command, Job, Until
from famus_ray.cluster.ray_extent import extent_of_ray
from famus_ray.errors import UserError
from famus_ray.store import is_url

__all__ = ["EXIT_CODE", "RayLauncher", "ask_for_exit_code", "run_as_job"]

_TOKEN = ("env", "RAY_AUTH_MODE=token")  # Ray's own commands do not find the token without it
_JOIN_WITHIN = 900.0  # seconds; the first time, each machine installs PyTorch
_LOGS = "/tmp/ray/session_latest/logs/monitor.*"  # noqa: S108 - on the head
_FIND = f"{DISAGREES[:-1]}[{DISAGREES[-1]}]"  # not found in the command itself, which is shown
_ASK_FOR_NODES = f"ray list nodes --format json; grep -hs '{_FIND}' {_LOGS}"
_ALIVE = '"state": "ALIVE"'
_STOP = "bash -lic 'ray stop' 2>/dev/null"
EXIT_CODE = r'"driver_exit_code":\s*(\d+)'


class RayLauncher:
    """A file of Ray's launcher; see `Provider`."""

    kind = "Ray"
    own_files = ""
    programs: Mapping[str, str] = {
        "ray": "it comes with famus-ray",
        "ssh": "package openssh-client",
        "rsync": "package rsync",
    }

    def extent(self, path: Path) -> Extent:
        return extent_of_ray(_read(path))

    def check(self, path: Path) -> list[Problem]:
        return check_file(path)

    def up(self, path: Path) -> list[Command]:
        file = _read(path)
        commands = []
        if not (token := _token_of(file)).exists():
            make = ("ray", "get-auth-token", "--generate")
            commands.append(Command(make, "make a token: who has it may command", quiet=True))
        private = ("chmod", "600", str(token))
        commands.append(Command(private, "the token is for you alone, here and on the machines"))
        start = ("ray", "up", "-y", "--no-config-cache", str(path))
        commands.append(Command(start, "start the head, then the workers", env=_env(file)))
        machines = 1 + _workers(file, "min_workers")
        ask = _on_head(path, (*_TOKEN, "sh", "-c", _ASK_FOR_NODES))
        why = f"wait for {machines} machines" if machines > 1 else "wait for the head"
        missing = f"the others did not join; see more with: {_log(path)}"
        until = Until(_ALIVE, machines, _JOIN_WITHIN, missing, never=DISAGREES)
        return [*commands, Command(ask, why, until=until)]

    def status(self, path: Path) -> list[Command]:
        what = {
            ("ray", "status", "-v"): "machines, and what waits for machines",
            ("ray", "job", "list"): "jobs",
        }
        return [Command(_on_head(path, (*_TOKEN, *argv)), why) for argv, why in what.items()]

    def submit(self, path: Path, job: Job) -> list[Command]:
        file = _read(path)
        least, most = (_workers(file, key) for key in ("min_workers", "max_workers"))
        words = job_arguments(
            job.arguments, "auto", runs_folder(file), machines=1 + most, grows=least < most
        )
        run, ask = run_as_job(job, words), ask_for_exit_code(job)
        return [
            *(_send_along(path, job) if job.files else ()),
            Command(_on_head(path, run), "run it, and follow its log", may_fail=True),
            Command(_on_head(path, ask), "ask for its exit code", exit_code_in=EXIT_CODE),
        ]

    def fetch(self, path: Path, name: str, to: Path) -> list[Command]:
        there = name if name.startswith(("/", "~")) else f"{runs_folder(_read(path))}/{name}"
        if is_url(there):
            raise UserError(f"{there}: is in a store; read it: famus-ray trials {there}")
        argv = ("ray", "rsync-down", str(path), there.rstrip("/"), f"{to}/")
        return [Command(argv, f"copy the run folder into {to}/")]

    def down(self, path: Path) -> list[Command]:
        file = _read(path)
        why = "stop the worker: ray down would leave it running"
        stops = [
            Command(over_ssh(file, ip, _STOP), why, may_fail=True)
            for ip in file["provider"].get("worker_ips", ())
        ]
        end = ("ray", "down", "-y", str(path))
        return [*stops, Command(end, "stop the head, and end what was rented", env=_env(file))]

    def left(self, path: Path) -> list[Command]:
        return left_of_ray(_read(path))

    def afterwards(self, path: Path) -> list[str]:
        file = _read(path)
        if file["provider"]["type"] == "local":
            return ["The machines are yours and go on running, without Ray; nothing is billed."]
        tag = f"tagged ray-cluster-name={file['cluster_name']}"
        return [
            f"Machines {tag} have been ended. Still billed, if you have them: disks that outlive "
            "their machine, buckets, snapshots, reserved addresses, NAT gateways.",
            f"famus-ray cluster down {path} --check lists what is still there.",
        ]

    def going_on(self, path: Path, job: Job) -> str:
        follow = (*_TOKEN, "ray", "job", "logs", "--follow", job.name)
        return f"the job goes on; see it with: {shlex.join(_on_head(path, follow))}"


def run_as_job(job: Job, words: Sequence[str]) -> tuple[str, ...]:
    """The command, on the head, that runs a job and follows its log."""
    along = ("--working-dir", _folder_of(job)) if job.files else ()
    submit = (*_TOKEN, "ray", "job", "submit", "--submission-id", job.name, *along)
    return (*submit, "--", "famus-ray", *words)


def ask_for_exit_code(job: Job) -> tuple[str, ...]:
    """The command, on the head, whose output holds `EXIT_CODE`: `ray job` itself says 0 or 1."""
    table = (*_TOKEN, "ray", "list", "jobs", "--detail", "--format", "json")
    return (*table, "--filter", f"submission_id={job.name}")


def _send_along(path: Path, job: Job) -> list[Command]:
    """Copies the files that a job needs into a folder of their own on the head.

    Ray brings them from there to every machine that works on the job.
    """
    cache = Path(os.environ.get("XDG_CACHE_HOME") or Path.home() / ".cache")
    archive = cache / "famus_ray-jobs" / f"{job.name}.tgz"
    folder = _folder_of(job)
    there = f"{folder}.tgz"
    make = shlex.join(("mkdir", "-p", folder))
    unpack = f"{shlex.join(('tar', '-xzf', there, '-C', folder))} && {shlex.join(('rm', there))}"
    pack = ("tar", "-czf", "-", "--", *job.files)
    return [
        Command(pack, "pack the files that the command names", to=archive),
        Command(("ray", "exec", str(path), make), "make a folder for them"),
        Command(("ray", "rsync-up", str(path), str(archive), f"~/{there}"), "send them along"),
        Command(("rm", str(archive)), "the archive is no longer needed"),
        Command(("ray", "exec", str(path), unpack), "unpack them"),
    ]


def _folder_of(job: Job) -> str:
    """Where the files of a job are on the head, from the user's home."""
    return f"famus-jobs/{job.name}"


def runs_folder(file: Mapping[str, Any]) -> str | None:
    """The folder for runs that all machines see: `metadata.runs`, a part that Ray leaves alone."""
    runs = (file.get("metadata") or {}).get("runs")
    return None if runs is None else str(runs).rstrip("/")


def _read(path: Path) -> dict[str, Any]:
    content: dict[str, Any] = yaml.safe_load(path.read_text(encoding="utf-8"))
    return content


def _workers(file: Mapping[str, Any], which: str) -> int:
    """How many workers there are at least or at most."""
    if file["provider"]["type"] == "local":
        return len(file["provider"].get("worker_ips", ()))
    types = (file.get("available_node_types") or {}).items()
    counts = [int(t.get(which, 0)) for name, t in types if name != file.get("head_node_type")]
    return min(sum(counts), int(file.get("max_workers", sum(counts))))


def _token_of(file: Mapping[str, Any]) -> Path:
    """The file of the token on this machine."""
    mounts = file.get("file_mounts") or {}
    local = next((own for there, own in mounts.items() if there.endswith("/auth_token")), None)
    return Path(local or "~/.ray/auth_token").expanduser()


def _env(file: Mapping[str, Any]) -> dict[str, str]:
    """Ray's second autoscaler, its default, never starts the workers of the local provider."""
    is_local = file["provider"]["type"] == "local"
    return {"RAY_UP_enable_autoscaler_v2": "0"} if is_local else {}


def _on_head(path: Path, argv: tuple[str, ...]) -> tuple[str, ...]:
    return ("ray", "exec", str(path), shlex.join(argv))


def _log(path: Path) -> str:
    return shlex.join(("ray", "exec", str(path), f"tail -n 50 {_LOGS}"))
