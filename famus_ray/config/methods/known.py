"""Methods by name: those of the package, and others by their import path."""

from __future__ import annotations

from collections.abc import Callable
from functools import cache
from importlib import import_module
from pathlib import Path

from famus_ray.config.import_path import imported
from famus_ray.config.methods.declaration import Method

__all__ = ["known_methods", "method_named", "names_of"]

_NO_METHOD = ("__init__", "declaration", "known")


@cache
def known_methods() -> tuple[str, ...]:
    """The names of the package's methods, which are the names of the files in this folder."""
    files = Path(__file__).parent.glob("*.py")
    return tuple(sorted(file.stem for file in files if file.stem not in _NO_METHOD))


def method_named(name: str) -> Method:
    """The declaration of a method.

    Args:
        name: one of `known_methods`, or an import path such as `mine.bootstrap:METHOD`.

    Raises:
        ValueError: there is no such method; the message begins with a verb.
    """
    if name in known_methods():
        known: Method = import_module(f"famus_ray.config.methods.{name}").METHOD
        return known
    found = imported(name)
    if not isinstance(found, Method):
        raise ValueError(f"is a {type(found).__name__}, not a famus_ray.config.methods.Method")
    return found


def names_of(condition: Callable[[Method], bool]) -> list[str]:
    """The names of the package's methods that meet a condition."""
    return [name for name in known_methods() if condition(method_named(name))]
