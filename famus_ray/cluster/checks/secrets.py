"""Secrets that stand in a cluster file."""

from __future__ import annotations

import re

from famus_ray.cluster.checks.json_schema import dotted
from famus_ray.cluster.problem import Problem
from famus_ray.cluster.yaml_lines import Address, Marked

__all__ = ["check_secrets", "secret_in"]

_LOOKS_SECRET = re.compile(
    r"AKIA[0-9A-Z]{16}|ASIA[0-9A-Z]{16}|-----BEGIN [A-Z ]*PRIVATE KEY|\bhf_[A-Za-z0-9]{20,}"
    r"|\bgh[pousr]_[A-Za-z0-9]{20,}|\bAIza[0-9A-Za-z_-]{30,}|\bxox[abp]-[0-9A-Za-z-]{10,}"
)
_NAME = r"[A-Za-z_-]*(?:TOKEN|SECRET|PASSWORD|PASSWD|API_?KEY|ACCESS_?KEY|CREDENTIALS?)"
_ASSIGNED = re.compile(rf"\b({_NAME})=[\"']?([^\s\"'$;<(){{}}]{{6,}})", re.IGNORECASE)
_NAMED = re.compile(rf"{_NAME}$", re.IGNORECASE)
_MEND = (
    "remove it, and renew it; give the secret by a file (file_mounts), a Kubernetes Secret or env"
)


def secret_in(text: str) -> str | None:
    """What kind of secret a text holds, if it holds one; values such as `$TOKEN` are none."""
    if found := _LOOKS_SECRET.search(text):
        return f"{found[0][:4]}..."
    for name, value in _ASSIGNED.findall(text):
        if not value.startswith(("/", "~", "./")):  # the name of a file
            return str(name)
    return None


def check_secrets(marked: Marked) -> list[Problem]:
    """Problems for every text that holds a secret, without showing it."""
    problems = []
    for address, text in marked.texts():
        if what := secret_in(text) or _by_name(marked, address, text):
            said = f"{dotted(address)}: holds a secret ({what})"
            problems.append(marked.problem(address, "secret", said, _MEND))
    return problems


def _by_name(marked: Marked, address: Address, text: str) -> str | None:
    """The name that says that a text is a secret; of Kubernetes' `name: X, value: Y` too."""
    name = str(address[-1]) if address else ""
    if name == "value" and isinstance(beside := marked.at((*address[:-1], "name")), str):
        name = beside
    file = text.startswith(("/", "~", "./", "$", "REPLACE")) or "/" in name or "." in name
    return name if _NAMED.fullmatch(name) and len(text) >= 6 and not file else None
