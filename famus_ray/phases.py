"""The named phases of an iteration, as in the paper's Figure 1b.

A phase is a range in a trace of `torch.profiler`. A benchmark may replace it by an observer;
nothing else in the step changes.
"""

from __future__ import annotations

from collections.abc import Callable, Iterator
from contextlib import AbstractContextManager, contextmanager
from typing import Any

from torch.profiler import record_function

__all__ = ["PHASES", "observed", "phase"]

PHASES = (
    "virtual/forward", "virtual/backward", "meta/forward", "meta/backward", "tangent",
    "actual/forward", "actual/backward", "actual/update",
)  # fmt: skip

Observer = Callable[[str], AbstractContextManager[Any]]


def _in_trace(name: str) -> AbstractContextManager[Any]:
    return record_function(f"famus/{name}")


_observer: Observer = _in_trace


def phase(name: str) -> AbstractContextManager[Any]:
    """A context for the phase `name`, one of `PHASES`; phases do not nest."""
    return _observer(name)


@contextmanager
def observed(observer: Observer) -> Iterator[None]:
    """Inside, `observer(name)` is the context of each phase, for measurements."""
    global _observer
    before, _observer = _observer, observer
    try:
        yield
    finally:
        _observer = before
