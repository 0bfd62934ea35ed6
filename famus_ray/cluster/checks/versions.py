"""The version of Ray that a cluster file asks for, against the one on this machine."""

from __future__ import annotations

import importlib.metadata
import re

from famus_ray.cluster.checks.json_schema import dotted
from famus_ray.cluster.problem import Problem
from famus_ray.cluster.yaml_lines import Marked

__all__ = ["check_versions", "ray_here", "ray_versions"]

# ray==2.60.0, ray[default]==2.60.0, rayproject/ray:2.60.0-py312-gpu
_ASKED = re.compile(r"(?<![\w-])ray(?:-ml)?(?:\[[\w,\s-]*\])?(==|>=|~=|:|<=|>|<)\s*([0-9][\w.*]*)")
_LATEST = re.compile(
    r"rayproject/ray(?:-ml)?(?::(latest|nightly)[\w.-]*)?(?![\w:.-])|ray-wheels/latest"
)
_BARE = re.compile(r"pip3? install\b[^;&|]*?\s['\"]?ray(\[[\w,\s-]*\])?['\"]?(\s|$)")


def ray_here() -> str:
    """The version of Ray on this machine, such as `2.60.0`."""
    return importlib.metadata.version("ray")


def ray_versions(text: str) -> list[str]:
    """The versions of Ray that a text asks for: `==2.60.0`, `>=2.9`, `latest`."""
    found = [("==" if sign == ":" else sign) + number for sign, number in _ASKED.findall(text)]
    if _LATEST.search(text) or _BARE.search(text):
        found.append("latest")
    return found


def check_versions(marked: Marked) -> list[Problem]:
    """Problems where a file asks for another version of Ray than this machine has, or for any."""
    here, problems = ray_here(), []
    for address, text in marked.texts():
        asked = ray_versions(text)
        if address and address[-1] == "rayVersion":
            asked = [f"=={text}"]
        for version in asked:
            if version != f"=={here}":
                what = f"{dotted(address)}: Ray {version.removeprefix('==')}, and {here} here"
                mend = f"write {here}: versions must be equal on all machines"
                problems.append(marked.problem(address, "version", what, mend))
    return problems
