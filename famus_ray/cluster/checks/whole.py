"""Every check that a cluster file's kind calls for."""

from __future__ import annotations

from pathlib import Path

from famus_ray.cluster.checks.ray_file import check_schema
from famus_ray.cluster.problem import Problem
from famus_ray.cluster.yaml_lines import read

__all__ = ["check_file", "left_out"]


def check_file(path: Path) -> list[Problem]:
    """Every problem of a cluster file, in the order of its lines; empty if there is none.

    Raises:
        UserError: the file cannot be read, or is of no known kind.
    """
    found = read(path)
    problems = list(found.problems)
    for marked in found.documents:
        problems += check_schema(marked)
    return sorted(set(problems))


def left_out(path: Path) -> list[str]:
    """What could not be checked on this machine, and what to install for it; may be empty."""
    return []
