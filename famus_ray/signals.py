"""Signals that ask a command to end: the first one interrupts it, those soon after are let pass.

Ctrl-C (SIGINT), SIGTERM (`timeout`, Slurm, Kubernetes) and SIGHUP (a terminal that is closed) are
all KeyboardInterrupt here. One that the caller had ignored, as `nohup` does, stays ignored.
"""

from __future__ import annotations

import os
import signal
import threading
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from typing import Any

__all__ = ["ask_to_end", "heed_again", "heeding", "was_asked_to_end"]

_SIGNALS = (signal.SIGINT, signal.SIGTERM, signal.SIGHUP)
_PATIENCE = 3.0  # seconds in which a further signal is the same wish, such as Ctrl-C pressed twice

_before: dict[signal.Signals, Any] = {}  # the handlers to put back; empty outside `heeding`
_asked: float | None = None  # when the first signal came
_on_force: Callable[[], None] | None = None


@contextmanager
def heeding(on_force: Callable[[], None] | None = None) -> Iterator[None]:
    """The first signal raises KeyboardInterrupt in the main thread, while inside.

    A further one, some seconds later, calls `on_force` and ends the process at once. After a signal
    came they stay ignored on leaving: the process is about to end, and should do so calmly.
    """
    global _asked, _on_force
    if threading.current_thread() is not threading.main_thread():
        yield
        return
    outer, _on_force = _on_force, on_force
    is_outermost = not _before
    if is_outermost:
        _asked = None
        handlers = {number: signal.getsignal(number) for number in _SIGNALS}
        _before.update({n: h for n, h in handlers.items() if h != signal.SIG_IGN})
        heed_again()
    try:
        yield
    finally:
        _on_force = outer
        if is_outermost:
            for number, handler in _before.items():
                signal.signal(number, handler if _asked is None else signal.SIG_IGN)
            _before.clear()


def heed_again() -> None:
    """Take the signals back from a library that took them (Ray's start takes SIGTERM)."""
    if threading.current_thread() is threading.main_thread():
        for number in _before:
            signal.signal(number, _on_signal)


def ask_to_end() -> None:
    """A signal came to a library that had taken it."""
    global _asked
    _asked = _asked or time.monotonic()


def was_asked_to_end() -> bool:
    """Whether a signal came: what fails then, fails because of it."""
    return _asked is not None


def _on_signal(number: int, frame: Any) -> None:
    global _asked
    now = time.monotonic()
    if _asked is None:
        _asked = now
        raise KeyboardInterrupt
    if now - _asked > _PATIENCE:
        if _on_force is not None:
            _on_force()
        os._exit(1)
