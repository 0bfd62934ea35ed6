"""The time budget of a study: what its commands have used, and the end of a command in time."""

from __future__ import annotations

import signal
import threading
from collections.abc import Callable, Iterable, Mapping
from datetime import datetime
from pathlib import Path
from typing import Any

from famus_ray.errors import UserError
from famus_ray.records.ledger import read_events

__all__ = ["done_within", "used_seconds"]


class _TimeIsUp(KeyboardInterrupt):
    """Ends the work as Ctrl-C does: running trials go on from their checkpoints later."""


def used_seconds(events: Iterable[Mapping[str, Any]]) -> float:
    """The time in which commands ran the study: from each `opened` to the last event after it."""
    used, began, last = 0.0, None, None
    for event in events:
        now = datetime.fromisoformat(event["time"])
        if event["event"] == "opened":
            used += 0.0 if began is None or last is None else (last - began).total_seconds()
            began = now
        last = now
    return used + (0.0 if began is None or last is None else (last - began).total_seconds())


def done_within(hours: float | None, ledger: Path, work: Callable[[], None]) -> bool:
    """Runs `work`, and ends it when the study's time is used up; returns whether it was done.

    Args:
        hours: of running, over all commands of the study; None for no limit.
        ledger: of the study, which this process has opened.
        work: what runs the trials.

    Raises:
        UserError: there is a limit, and this is not the main thread, the only one with a timer.
    """
    if hours is None:
        work()
        return True
    if threading.current_thread() is not threading.main_thread():
        raise UserError("study.hours: is kept in Python's main thread only; start the study there")
    left = hours * 3600 - used_seconds(read_events(ledger))
    if left <= 0:
        return False
    is_up = False

    def end(number: int, frame: object) -> None:
        nonlocal is_up
        is_up = True
        raise _TimeIsUp

    before = signal.signal(signal.SIGALRM, end)
    signal.setitimer(signal.ITIMER_REAL, left)
    try:
        work()
    except BaseException:
        if not is_up:  # else a consequence: Ray turns the end into errors of its own
            raise
    finally:
        signal.setitimer(signal.ITIMER_REAL, 0)
        signal.signal(signal.SIGALRM, before)
    return not is_up
