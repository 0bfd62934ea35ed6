"""Objects handed over in Python as settings: the import paths that name them.

A function or class of a file has an import path, `mine.nets:small`. One that lives in a notebook
or in the script that runs is `__main__:small`. What has no name anywhere, such as a network that
was built by hand or a local function, is held here and named `famus_ray.handed:NAME`. The last two
exist in this process only (`lives_here`).
"""

from __future__ import annotations

import hashlib
import marshal
import re
from importlib import import_module
from typing import Any

__all__ = ["hold", "is_object", "lives_here", "path_of"]

_HERE = ("__main__:", f"{__name__}:")
_held: dict[str, Any] = {}


def is_object(value: Any) -> bool:
    """Whether a setting's value is an object that needs an import path: one that can be called,
    or a method's declaration."""
    return callable(value) or hasattr(value, "build")


def lives_here(value: Any) -> bool:
    """Whether a setting's value names an object that exists in one process only."""
    return isinstance(value, str) and value.startswith(_HERE)


def path_of(handed: Any) -> str:
    """The import path of an object; without one it is held here, for the life of the process.

    A network (`nn.Module`) is copied with its weights: later changes of it have no effect.
    """
    module, name = getattr(handed, "__module__", None), getattr(handed, "__qualname__", None)
    if isinstance(module, str) and isinstance(name, str) and name.isidentifier():
        try:
            if getattr(import_module(module), name, None) is handed:
                return f"{module}:{name}"
        except ImportError:
            pass
    if hasattr(handed, "state_dict"):
        import copy

        handed = copy.deepcopy(handed).cpu()
    name = _name(handed)
    hold(name, handed)
    return f"{__name__}:{name}"


def hold(name: str, handed: Any) -> None:
    """Makes an object known as `famus_ray.handed:NAME`."""
    _held[name] = handed


def __getattr__(name: str) -> Any:
    if name in _held:
        return _held[name]
    raise AttributeError(
        "it was handed over in Python and is not in this process; go on where it is, with "
        "famus_ray.train(..., resume=True) or famus_ray.resume(...)"
    )


def _name(handed: Any) -> str:
    """A name that tells objects apart: what it is, and a fingerprint of weights or code."""
    digest = hashlib.sha256()
    if hasattr(handed, "state_dict"):
        digest.update(repr(handed).encode())
        for tensor in handed.state_dict().values():
            digest.update(tensor.numpy().tobytes())
    elif hasattr(handed, "__code__"):
        digest.update(marshal.dumps(handed.__code__))
    own = getattr(handed, "__qualname__", None) or getattr(handed, "name", None)
    kind = own if isinstance(own, str) else type(handed).__name__
    words = re.findall(r"[A-Za-z0-9]+", kind.replace("<locals>", ""))
    return f"{'_'.join(words)}_{digest.hexdigest()[:8]}"
