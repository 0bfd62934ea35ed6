"""Signals that ask a command to end: the first one interrupts it, further ones soon after do not.

Ctrl-C (SIGINT), SIGTERM (`timeout`, Slurm, Kubernetes) and SIGHUP (a closed terminal) all raise
KeyboardInterrupt. A signal that was ignored before, as with `nohup`, stays ignored.
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
_PATIENCE = 3.0  # seconds in which further signals are ignored, such as Ctrl-C pressed twice

_before: dict[signal.Signals, Any] = {}  # the handlers to restore; empty outside `heeding`
_asked: float | None = None  # time of the first signal
_on_force: Callable[[], None] | None = None


@contextmanager
def heeding(on_force: Callable[[], None] | None = None) -> Iterator[None]:
    """Inside, the first signal raises KeyboardInterrupt in the main thread.

    Another signal some seconds later calls `on_force` and ends the process at once. If a signal
    came, signals are ignored after the context, so that the process can end without interruption.
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
    """Installs the handlers again after a library, such as Ray at its start, replaced them."""
    if threading.current_thread() is threading.main_thread():
        for number in _before:
            signal.signal(number, _on_signal)


def ask_to_end() -> None:
    """Records a signal that was received by another library's handler."""
    global _asked
    _asked = _asked or time.monotonic()


def was_asked_to_end() -> bool:
    """Whether a signal came; later errors are then a consequence of it."""
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
