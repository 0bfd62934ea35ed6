"""SkyPilot's tasks: their known keys, and safety."""

from __future__ import annotations

import re
from collections.abc import Iterator
from typing import Any

from famus_ray.cluster.checks.json_schema import dotted, schema_problems
from famus_ray.cluster.checks.ports import COMMAND_PORTS
from famus_ray.cluster.checks.safety import check_placeholders, dashboard_host
from famus_ray.cluster.checks.secrets import check_secrets
from famus_ray.cluster.checks.versions import check_versions
from famus_ray.cluster.problem import Problem
from famus_ray.cluster.yaml_lines import Address, Marked
from famus_ray.errors import did_you_mean

__all__ = ["check_skypilot"]

_SKYPILOTS_PORT = "6380"  # of the Ray that SkyPilot itself runs on every machine
_TEXT, _NUMBER, _YES = (
    {"type": "string"},
    {"type": ["integer", "number", "string"]},
    {"type": "boolean"},
)
_MAP, _LIST = {"type": "object"}, {"type": "array"}
_GPUS = tuple(
    re.findall(
        r"\S+",
        """
        A10 A10G A100 A100-80GB B200 GB200 GH200 H100 H100-SXM H100-MEGA H200 L4 L40 L40S P100
        RTX4090 RTX5090 RTX6000-Ada RTXPRO6000 T4 V100 V100-32GB MI300X A6000 RTX3090 RTXA6000
        """,
    )
)


def _object(**properties: Any) -> dict[str, Any]:
    return {"type": "object", "properties": properties, "additionalProperties": False}


_AUTOSTOP = _object(
    idle_minutes=_NUMBER, down=_YES, wait_for=_TEXT, hook=_TEXT, hook_timeout=_NUMBER
)
_RESOURCES: dict[str, Any] = _object(
    infra=_TEXT,
    cloud=_TEXT,
    region=_TEXT,
    zone=_TEXT,
    accelerators={},
    accelerator_args=_MAP,
    cpus=_NUMBER,
    memory=_NUMBER,
    instance_type=_TEXT,
    use_spot=_YES,
    job_recovery={"type": ["string", "object"]},
    disk_size=_NUMBER,
    disk_tier=_TEXT,
    network_tier=_TEXT,
    ports={},
    image_id={"type": ["string", "object"]},
    labels=_MAP,
    autostop={"anyOf": [_AUTOSTOP, {"type": ["integer", "string", "boolean"]}]},
    any_of=_LIST,
    ordered=_LIST,
    volumes=_LIST,
    max_hourly_cost=_NUMBER,
)
_SCHEMA = _object(
    name=_TEXT,
    workdir={"type": ["string", "object"]},
    resources=_RESOURCES,
    num_nodes={"type": "integer"},
    envs=_MAP,
    secrets=_MAP,
    file_mounts=_MAP,
    volumes=_MAP,
    setup=_TEXT,
    run=_TEXT,
    config=_MAP,
    service=_MAP,
    event_callback=_TEXT,
    inputs=_MAP,
    outputs=_MAP,
    pool=_MAP,
    api_server=_MAP,
    experimental=_MAP,
)


def check_skypilot(marked: Marked) -> list[Problem]:
    """Problems of a task."""
    problems = schema_problems(marked, (), marked.content, _SCHEMA, "skypilot")
    problems += [*check_secrets(marked), *check_versions(marked), *check_placeholders(marked)]
    problems += [*_gpus(marked), *_ends(marked), *_ports(marked), *_scripts(marked)]
    return problems


def _gpus(marked: Marked) -> Iterator[Problem]:
    asked = marked.at("resources.accelerators")
    names = [*asked] if isinstance(asked, (dict, list)) else [asked] if asked else []
    for name in names:
        kind, _, number = str(name).partition(":")
        near = did_you_mean(kind, _GPUS)
        if kind not in _GPUS and near and not kind.startswith("tpu"):
            what = f"accelerators = {name}: not known{near}"
            mend = "see `sky gpus list`"
            yield marked.problem("resources.accelerators", "machine-type", what, mend)
        elif number and not re.fullmatch(r"\d+(\.\d+)?", number):
            what = f"accelerators = {name}: {number} is no number"
            mend = f"write {kind}:1"
            yield marked.problem("resources.accelerators", "machine-type", what, mend)


def _ends(marked: Marked) -> Iterator[Problem]:
    """A cluster without `autostop`, or one that is stopped and not ended."""
    address: Address = ("resources", "autostop")
    autostop = marked.at(address)
    idle = autostop.get("idle_minutes") if isinstance(autostop, dict) else None
    if not isinstance(idle, int) or not 0 < idle <= 60:
        what = "no autostop: machines without work go on costing"
        mend = "write autostop: {idle_minutes: 10, down: true} under resources"
        yield marked.problem(address, "idle-timeout", what, mend)
    elif autostop.get("down") is not True:
        what = "autostop without down: machines are stopped, and their disks go on costing"
        yield marked.problem(address, "stopped-nodes", what, "write down: true")


def _ports(marked: Marked) -> Iterator[Problem]:
    asked = marked.at("resources.ports")
    for ports in asked if isinstance(asked, list) else [asked]:
        numbers = [int(number) for number in re.findall(r"\d+", str(ports))]
        found = [port for port in COMMAND_PORTS if numbers and numbers[0] <= port <= numbers[-1]]
        if found:
            what = f"ports: {found[0]} is open to the internet, and who reaches it runs commands"
            mend = "remove it; `ssh -L 8265:localhost:8265 NAME` brings the dashboard"
            yield marked.problem("resources.ports", "open-port", what, mend)


def _scripts(marked: Marked) -> Iterator[Problem]:
    for key in ("setup", "run"):
        text = marked.at(key)
        for number, line in enumerate(text.splitlines() if isinstance(text, str) else ()):
            for rule, what, mend in _told(line):
                said = f"{dotted((key,))}: {what}"
                start = marked.line_of(key) + 1 + number  # the text begins below its key
                yield Problem(marked.path, start, rule, said, mend)
    run = str(marked.at("run", ""))
    if "ray start" in run:
        names = {*marked.mapping("secrets"), *marked.mapping("envs")}
        token = "RAY_AUTH_MODE=token" in run or marked.at("envs.RAY_AUTH_MODE") == "token"
        if not token or "RAY_AUTH_TOKEN" not in names:
            what = "no token: whoever reaches Ray's ports runs commands on the machines"
            mend = "write secrets: {RAY_AUTH_TOKEN: null} and envs: {RAY_AUTH_MODE: token}"
            yield marked.problem("run", "token", what, mend)


def _told(line: str) -> Iterator[tuple[str, str, str]]:
    """What one line of a script does that it should not."""
    if line.lstrip().startswith("#"):
        return
    if re.search(r"\bray stop\b", line):
        mend = "end your own by its process id, or let `sky down` do it"
        yield "ray-stop", "`ray stop` ends SkyPilot's own Ray too", mend
    if "ray start" in line and f"port={_SKYPILOTS_PORT}" in line:
        yield (
            "ports",
            f"{_SKYPILOTS_PORT} is SkyPilot's own Ray's",
            "take another port, such as 6385",
        )
    if host := dashboard_host(line):
        what = f"the dashboard is open to {host}: through it anybody runs commands"
        yield "dashboard", what, "write --dashboard-host=127.0.0.1"
