"""Settings that name a part of the package, or the user's own part by its import path."""

from __future__ import annotations

import re
import sys
from collections.abc import Callable, Sequence
from importlib import import_module
from pathlib import Path
from typing import Any

from pydantic import AfterValidator, WithJsonSchema

from famus_ray.errors import UserError, did_you_mean, first_line

__all__ = ["check_name", "imported", "is_import_path", "names_schema", "one_of", "own"]

_IMPORT_PATH = r"^[A-Za-z_][\w.]*:[A-Za-z_]\w*$"


def is_import_path(name: str) -> bool:
    """Whether a name is an import path, such as `mine.birds:read`."""
    return re.match(_IMPORT_PATH, name) is not None


def imported(path: str) -> Any:
    """The object at an import path; modules in the working directory are found, too.

    Raises:
        ValueError: it cannot be imported; the message begins with a verb.
    """
    module, _, name = path.partition(":")
    if (here := str(Path.cwd())) not in sys.path:
        sys.path.append(here)  # last, so that no file here hides a package
    try:
        return getattr(import_module(module), name)
    except Exception as error:
        reason = first_line(error) + _looked(error, module, here)
        raise ValueError(f"cannot be imported ({reason})") from error


def _looked(error: Exception, module: str, here: str) -> str:
    if module == "__main__":
        return "; it lives in the script or notebook that named it, so use it there"
    is_missing = isinstance(error, ModuleNotFoundError)
    return f", looked for in {here} and among the installed packages" if is_missing else ""


def own(setting: str, path: str) -> Callable[..., Any]:
    """The user's function that a setting names.

    Args:
        setting: dotted key, for messages.
        path: import path.

    Raises:
        UserError: it cannot be imported, or is no function.
    """
    try:
        found: Callable[..., Any] = imported(path)
    except ValueError as error:
        raise UserError(f"{setting} = {path}: {error}") from error
    if not callable(found):
        raise UserError(f"{setting} = {path}: is a {type(found).__name__}, not a function")
    return found


def check_name(name: str, names: Sequence[str], example: str) -> None:
    """Raises ValueError unless `name` is one of `names` or an import path.

    Args:
        example: an import path for the message.
    """
    if name not in names and not is_import_path(name):
        hint = did_you_mean(name, names)
        raise ValueError(f"must be one of {', '.join(names)}, or an import path as {example}{hint}")


def one_of(names: Sequence[str], example: str) -> AfterValidator:
    """The validator of a setting that takes these names and import paths (`check_name`)."""

    def check(name: str) -> str:
        check_name(name, names, example)
        return name

    return AfterValidator(check)


def names_schema(names: Sequence[str]) -> WithJsonSchema:
    """The JSON Schema of `one_of`."""
    return WithJsonSchema(
        {"anyOf": [{"enum": [*names]}, {"type": "string", "pattern": _IMPORT_PATH}]}
    )
