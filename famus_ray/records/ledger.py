"""The ledger of a study: an append-only record of every trial, and the truth about them.

One JSON object a line, each synced to disk before the study goes on. A line that a crash cut
off, at the end or before an `opened`, is left out by readers. Ray's own records are not needed
to read it or to go on from it.

    opened     by which process; a study that is resumed is opened again
    space      what is searched from here on, and the config that every trial starts from
    started    a trial was suggested; its id is its number
    attempt    its process began, or began again
    retried    a trial that failed is to be tried again
    reported   an epoch: value so far, and the seconds of this attempt
    completed, pruned, failed    how it ended

An event with `rebuilt` was lost, and is from the trial's folder (`rebuilt`): it stands at the end
of the file, and readers put it where it belongs.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import math
import os
import socket
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from famus_ray.errors import UserError
from famus_ray.records.tables import TRIALS

__all__ = [
    "COST",
    "EXCESS",
    "FINAL",
    "NULL",
    "PARAMETER",
    "append_event",
    "finite",
    "holding",
    "in_place",
    "is_held",
    "read_events",
    "table_of",
    "trials_table",
]

PARAMETER = "param."  # columns of the trials table that hold a searched setting begin so
NULL = "null"  # in such a column where null was chosen; it is empty where a condition left it out
COST = "cost."  # those that hold a minimised objective so
EXCESS = "excess."  # and those that hold by how much a constraint is broken so, kept at 0 or less
FINAL = ("completed", "pruned", "failed")


def append_event(path: Path, event: str, trial_id: str | None = None, **details: Any) -> None:
    """Add one line: what happened, to which trial, and when (UTC)."""
    now = datetime.now(UTC).isoformat()
    whose = {} if trial_id is None else {"trial_id": trial_id}
    line = json.dumps({"time": now, "event": event, **whose, **details})
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Be the one process that writes the ledger, while inside.

    Raises:
        UserError: another process is; the message says which.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a+b") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(
                f"{path.parent}: another process is running this study{_holder(path)}"
            ) from error
        _end_last_line(file)
        append_event(
            path, "opened", pid=os.getpid(), host=socket.gethostname(), user=getpass.getuser()
        )
        yield


def is_held(path: Path) -> bool:
    """Whether a process is writing the ledger now: the study is under way."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events in their order, without a line that a crash cut off.

    Other lines that cannot be read are left out, too, with a warning that names them.
    """
    if not path.is_file():
        return []
    events = [_event(line) for line in path.read_text("utf-8", errors="replace").splitlines()]
    damaged = [
        number
        for number, (event, after) in enumerate(pairwise(events), 1)
        if event is None and (after is None or after["event"] != "opened")  # not a crash's
    ]
    if damaged:
        lines = ", ".join(map(str, damaged))
        warnings.warn(f"{path}: cannot be read and left out: line {lines}", stacklevel=1)
    whole = [event for event in events if event is not None]
    ours = [event for event in whole if not event.get("rebuilt")]
    return in_place(ours, [event for event in whole if event.get("rebuilt")])


def in_place(events: list[dict[str, Any]], rebuilt: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events with those that were rebuilt before what came after them: the trial's own, and
    the beginning of any later trial."""
    for trial_id in dict.fromkeys(event["trial_id"] for event in rebuilt):
        own = [event for event in rebuilt if event["trial_id"] == trial_id]
        later = (
            i
            for i, event in enumerate(events)
            if event.get("trial_id") == trial_id
            or (event["event"] == "started" and event["trial_id"] > trial_id)
        )
        place = next(later, len(events))
        events = [*events[:place], *own, *events[place:]]
    return events


def trials_table(path: Path, *, live: bool = False) -> pd.DataFrame:
    """One row a trial, `tables.TRIALS`, one column `param.<setting>` a searched setting, one
    column `cost.<curve>` a minimised objective, and one column `excess.<constraint>` a constraint:
    by how much the trial breaks it, 0 or less where it keeps it.

    Args:
        path: the ledger.
        live: the study is under way; otherwise a trial without an end was interrupted.
    """
    return table_of(read_events(path), live=live)


def table_of(events: Iterable[Mapping[str, Any]], *, live: bool = False) -> pd.DataFrame:
    """`trials_table` of these events. A trial's number is the name of its folder."""
    trials: dict[str, dict[str, Any]] = {}
    for event in events:
        _apply(event, trials)
    rows = [
        {"trial": int(name) if name.isdecimal() else place, **row}
        for place, (name, row) in enumerate(trials.items())
    ]
    frame = pd.DataFrame(rows, columns=[*TRIALS.columns, *_own_columns(trials)])
    if not live:
        frame.loc[frame["state"] == "running", "state"] = "interrupted"
    for column in ("started", "ended"):
        frame[column] = pd.to_datetime(frame[column], utc=True, format="ISO8601")
    return frame.astype({name: dtype for name, (dtype, _, _) in TRIALS.columns.items()})


def _apply(event: Mapping[str, Any], trials: dict[str, dict[str, Any]]) -> None:
    kind, trial_id = event["event"], event.get("trial_id")
    if trial_id is None:
        return
    if kind == "started":
        row: dict[str, Any] = {
            "trial_id": trial_id, "replicates": event.get("replicates"),
            "parent": event.get("parent"), "from_epoch": event.get("from_epoch"),
            "state": "running", "value": None, "value_std": None, "epochs": 0, "seconds": 0.0,
            "attempts": 0, "started": event["time"], "ended": None, "node": event.get("node"),
            "reason": None, "error": None,
        }  # fmt: skip
        row |= {PARAMETER + k: NULL if v is None else v for k, v in event["params"].items()}
        trials[trial_id] = row | {"_before": 0.0}
        return
    row = trials.get(trial_id, {})
    if not row:  # the line that began it cannot be read
        return
    if kind == "attempt":
        row |= {"state": "running", "ended": None, "attempts": row["attempts"] + 1}
        row["_before"] = row["seconds"]
    elif kind == "reported":
        value = finite(event["value"])
        if value is not None and (row["value"] is None or value > row["value"]):
            row |= {"value": value, "value_std": event.get("value_std")}
        row |= {COST + name: finite(cost) for name, cost in event.get("costs", {}).items()}
        excess = event.get("excess", {}).items()  # what is no number keeps no bound
        row |= {EXCESS + text: math.inf if math.isnan(x) else x for text, x in excess}
        seconds = math.nan if event["seconds"] is None else event["seconds"]  # lost
        row |= {"epochs": event["epoch"], "seconds": row["_before"] + seconds}
        row["node"] = event.get("node", row["node"])
    elif kind in FINAL:
        row |= {"state": kind, "ended": event["time"], "error": event.get("error")}
        row |= {"reason": event.get("reason"), "seconds": event.get("seconds", row["seconds"])}
        if "epochs" in event:  # as its curves have it: reports were lost, or made again
            row |= {"epochs": event["epochs"], "value": event["value"]}
            row["value_std"] = row["value_std"] if event["value"] is not None else None
    elif kind == "retried":
        row |= {"state": "running", "ended": None, "error": None, "reason": None}


def finite(value: float | None) -> float | None:
    """A number; None where it is none, or not finite."""
    return value if value is not None and math.isfinite(value) else None


def _event(line: str) -> dict[str, Any] | None:
    try:
        event = json.loads(line)
    except json.JSONDecodeError:
        return None
    if not isinstance(event, dict) or "event" not in event:
        return None
    is_whole = event["event"] != "started" or {"trial_id", "params", "time"} <= {*event}
    return event if is_whole else None


def _own_columns(trials: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """Columns of this study alone: the settings, the costs, then the constraints."""
    names = dict.fromkeys(k for row in trials.values() for k in row)
    return [k for prefix in (PARAMETER, COST, EXCESS) for k in names if k.startswith(prefix)]


def _end_last_line(file: Any) -> None:
    """What a crash cut off must not swallow the next event."""
    size = file.seek(0, os.SEEK_END)
    if size and os.pread(file.fileno(), 1, size - 1) != b"\n":
        file.write(b"\n")
        file.flush()


def _holder(path: Path) -> str:
    opened = [event for event in read_events(path) if event["event"] == "opened"]
    if not opened:
        return ""
    last = opened[-1]
    return f": process {last['pid']} of {last['user']} on {last['host']} since {last['time'][:19]}"
