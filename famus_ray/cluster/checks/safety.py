"""Safety rules for cluster files of Ray's launcher, whatever the provider."""

from __future__ import annotations

import re
import shlex
from collections.abc import Iterator

from famus_ray.cluster.checks.ray_file import node_types
from famus_ray.cluster.problem import Problem
from famus_ray.cluster.ray_extent import is_spot
from famus_ray.cluster.yaml_lines import Address, Marked

__all__ = ["check_placeholders", "check_safety", "dashboard_host"]

_LOOPBACK = ("127.0.0.1", "localhost", "::1")
_DASHBOARD = re.compile(r"--dashboard-host[=\s]+[\"']?([^\s\"';]+)")
_LONGEST_IDLE = 60  # minutes
_COMMANDS = (
    "initialization_commands",
    "setup_commands",
    "head_setup_commands",
    "worker_setup_commands",
    "head_start_ray_commands",
    "worker_start_ray_commands",
)
# What Ray puts in the place of what is left out.
_DEFAULTS = {
    "setup_commands": "Ray's default installs a nightly build",
    "head_setup_commands": "Ray's default installs its own choice of packages",
    "head_start_ray_commands": "Ray's default opens the dashboard to every address",
    "worker_start_ray_commands": "Ray's default is for another set of ports",
}


def check_safety(marked: Marked) -> list[Problem]:
    """Problems with token, dashboard, commands, idle machines and their number."""
    problems = [*_token(marked), *_commands(marked), *_dashboard(marked)]
    if marked.at("provider.type") != "local":
        problems += [*_limits(marked), *_stopped(marked), *_head(marked)]
    return problems


def check_placeholders(marked: Marked) -> list[Problem]:
    """Problems for every value that still waits for the user's own."""
    return [
        marked.problem(address, "placeholder", f"{address[-1]} = {text}", "write your own value")
        for address, text in marked.texts()
        if address and re.search(r"REPLACE|YOUR[._-]|<[a-z -]+>$", text)
    ]


def dashboard_host(command: str) -> str | None:
    """The address that a command opens the dashboard to, if it is not only loopback."""
    found = _DASHBOARD.search(command)
    return found[1] if found and found[1] not in _LOOPBACK else None


def _listed(marked: Marked, key: str) -> Iterator[tuple[Address, str]]:
    for index, command in enumerate(marked.items(key)):
        if isinstance(command, str):
            yield (key, index), command


def _token(marked: Marked) -> Iterator[Problem]:
    if not any(str(to).endswith(".ray/auth_token") for to in marked.mapping("file_mounts")):
        what = "no token: who reaches Ray's ports runs commands on the machines"
        mend = (
            "write ~/.ray/auth_token: ~/.ray/auth_token under file_mounts; "
            "`ray get-auth-token --generate` makes one"
        )
        yield marked.problem("file_mounts", "token", what, mend)
    for address, text in marked.texts():
        if re.search(r"RAY_AUTH_MODE=[\"']?(?!token)", text):
            what = "the token is switched off"
            yield marked.problem(address, "token", what, "write RAY_AUTH_MODE=token")


def _commands(marked: Marked) -> Iterator[Problem]:
    for key, default in _DEFAULTS.items():
        if key not in marked.content and not (
            marked.at("provider.type") == "local" and key.endswith("setup_commands")
        ):
            what, mend = f"{key} is missing: {default}", f"write {key}, even if it is []"
            yield marked.problem((), "default-commands", what, mend)
    for key in _COMMANDS:
        for address, command in _listed(marked, key):
            try:
                shlex.split(command)
            except ValueError as error:
                what = f"{key}: no shell command: {str(error).lower()}"
                mend = "put the command in quotes: ` #` begins a comment in YAML"
                yield marked.problem(address, "shell", what, mend)


def _dashboard(marked: Marked) -> Iterator[Problem]:
    for address, command in _listed(marked, "head_start_ray_commands"):
        if host := dashboard_host(command):
            what = f"the dashboard is open to {host}: through it anybody runs commands"
            mend = "write --dashboard-host=127.0.0.1 and reach it by `ray dashboard FILE`"
            yield marked.problem(address, "dashboard", what, mend)


def _limits(marked: Marked) -> Iterator[Problem]:
    idle = marked.at("idle_timeout_minutes")
    if not isinstance(idle, (int, float)) or not 0 < idle <= _LONGEST_IDLE:
        what = f"idle_timeout_minutes = {idle}: machines without work go on costing"
        mend = f"write idle_timeout_minutes: 5 (more than 0, at most {_LONGEST_IDLE})"
        yield marked.problem("idle_timeout_minutes", "idle-timeout", what, mend)
    if "max_workers" not in marked.content:
        what, mend = "max_workers is missing: Ray's default is 2", "write max_workers: ..."
        yield marked.problem((), "max-workers", what, mend)
    for name, kind in node_types(marked).items():
        most = kind.get("max_workers")
        if most is None and name != marked.at("head_node_type"):
            what = f"{name}: max_workers is missing"
            here = ("available_node_types", name)
            yield marked.problem(here, "max-workers", what, "write max_workers: ...")


def _stopped(marked: Marked) -> Iterator[Problem]:
    if marked.at("provider.cache_stopped_nodes") is not False:
        what = "machines are stopped, not ended: their disks go on costing"
        mend = "write cache_stopped_nodes: false"
        address = ("provider", "cache_stopped_nodes")
        yield marked.problem(address, "stopped-nodes", what, mend)


def _head(marked: Marked) -> Iterator[Problem]:
    """A head on a machine that may be taken away takes the whole cluster with it."""
    name = str(marked.at("head_node_type"))
    here: Address = ("available_node_types", name, "node_config")
    if is_spot(marked.mapping(here)):
        what = f"{name}: the head is on a spot machine, and the cluster ends with it"
        yield marked.problem(here, "head-on-spot", what, "take an on-demand machine for the head")
