"""The versions on this machine, which must be the same on all machines of a cluster.

It imports neither torch nor Ray, so it takes a fraction of a second.
"""

from __future__ import annotations

import hashlib
import platform
from collections.abc import Mapping
from importlib.metadata import PackageNotFoundError, version
from pathlib import Path

__all__ = ["differing", "found_here"]

_PACKAGES = ("ray", "torch", "numpy")


def found_here() -> dict[str, str]:
    """The versions on this machine, by name; Python's with its patch release, as Ray wants it."""
    found = {"Python": platform.python_version(), "famus_ray": _digest()}
    for name in _PACKAGES:
        try:
            found[name] = version(name)
        except PackageNotFoundError:
            found[name] = "missing"
    return found


def differing(
    here: Mapping[str, str], there: Mapping[str, str], named: str = "the head"
) -> list[str]:
    """What differs between the versions of this machine and another one, one line each.

    Args:
        here, there: from `found_here` on each.
        named: what the other one is called in the lines.
    """
    return [
        f"{name}: {here[name]} here, {there.get(name)} on {named}"
        for name in here
        if here[name] != there.get(name)
    ]


def _digest() -> str:
    """The version of this package, and a digest of its sources: a stale copy is told apart."""
    from famus_ray import __version__

    root, digest = Path(__file__).parent, hashlib.sha256()
    for path in sorted(root.rglob("*.py")):
        digest.update(path.relative_to(root).as_posix().encode() + b"\0" + path.read_bytes())
    return f"{__version__} ({digest.hexdigest()[:8]})"
