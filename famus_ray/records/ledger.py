"""The ledger of a study: an append-only record of every trial, and the authoritative one.

It has one JSON object per line, synced to disk before the study continues. Readers skip a line
that a crash cut off, at the end or before an `opened`. The ledger can be read, and the study
resumed, without Ray's own records.

    opened     by which process; again whenever the study is resumed
    space      the search space from here on, and the config that every trial starts from
    started    a trial was suggested; its id is its number
    attempt    the trial's process started, for the first time or again
    retried    a failed trial will be run again
    reported   an epoch: value so far, and the seconds of this attempt
    completed, pruned, failed    how the trial ended; of a pruned one also why

An event with the key `rebuilt` was lost and restored from the trial's folder (see
`records.rebuilt`). It stands at the end of the file; readers move it to its place in time.
"""

from __future__ import annotations

import fcntl
import getpass
import json
import math
import os
import socket
import time
import warnings
from collections.abc import Iterable, Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from itertools import pairwise
from pathlib import Path
from typing import Any

import pandas as pd

from famus_ray.errors import UserError, last_line
from famus_ray.records.tables import TRIALS, column_of, typed
from famus_ray.store import upload

__all__ = [
    "COST",
    "EXCESS",
    "FINAL",
    "NULL",
    "OF_PRUNED",
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

# Prefixes of columns of the trials table, and a value in them:
PARAMETER = "param."  # prefix: a searched setting; empty where its condition does not hold
NULL = "null"  # in such a column where the setting is null
COST = "cost."  # prefix: a minimised objective
EXCESS = "excess."  # prefix: a constraint's excess, 0 or less where it is kept
FINAL = ("completed", "pruned", "failed")
OF_PRUNED = ("reason", "pruned_at", "pruned_value", "needed")  # fields of the event `pruned`
_SECONDS = 5.0  # between uploads to an object store while trials only report
_uploaded: dict[Path, float] = {}


def append_event(path: Path, event: str, trial_id: str | None = None, **details: Any) -> None:
    """Adds one line: an event, its trial, and its time (UTC).

    Args:
        path: the ledger.
        event: kind of event, such as `started`.
        trial_id: name of the trial's folder; None for an event of the study.
        details: other fields of the event.
    """
    now = datetime.now(UTC).isoformat()
    whose = {} if trial_id is None else {"trial_id": trial_id}
    line = json.dumps({"time": now, "event": event, **whose, **details})
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())
    if event != "reported" or time.monotonic() - _uploaded.get(path, -math.inf) > _SECONDS:
        upload(path)
        _uploaded[path] = time.monotonic()


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Inside, this is the only process that writes the ledger; adds `opened` first.

    Raises:
        UserError: another process has the lock; the message says which.
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
    """Whether a process holds the ledger: the study is running."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def read_events(path: Path) -> list[dict[str, Any]]:
    """The events in order, without lines that a crash cut off.

    Other unreadable lines are skipped with a warning that names them.
    """
    if not path.is_file():
        return []
    found = _events(path.read_text("utf-8", errors="replace").splitlines())
    events = [event for event in found if event is not None]
    damaged = len(events) < len(found) and [
        number
        for number, (event, after) in enumerate(pairwise(found), 1)
        if event is None and (after is None or after["event"] != "opened")  # not a crash's
    ]
    if damaged:
        lines = ", ".join(map(str, damaged))
        warnings.warn(f"{path}: cannot be read and left out: line {lines}", stacklevel=1)
    if not (rebuilt := [event for event in events if "rebuilt" in event]):
        return events
    return in_place([event for event in events if "rebuilt" not in event], rebuilt)


def in_place(events: list[dict[str, Any]], rebuilt: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The events with rebuilt ones at their place in time.

    That is before other events of the same trial, and before the start of any later trial.
    """
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
    """The trials of a study, one row per trial.

    Its columns are those of `tables.TRIALS`, a column `param.<setting>` for every searched
    setting, a column `cost.<curve>` for every minimised objective, and a column
    `excess.<constraint>` for every constraint: its excess, 0 or less where it is kept.

    Args:
        path: the ledger.
        live: whether the study is running; if not, a trial without an end was interrupted.
    """
    return table_of(read_events(path), live=live)


def table_of(events: Iterable[Mapping[str, Any]], *, live: bool = False) -> pd.DataFrame:
    """`trials_table` from events. A trial's number is the name of its folder."""
    trials: dict[str, dict[str, Any]] = {}
    for event in events:
        _apply(event, trials)
    rows = [
        {"trial": int(name) if name.isdecimal() else place, **row}
        for place, (name, row) in enumerate(trials.items())
    ]
    for row in rows:
        if row["state"] == "running" and not live:
            row["state"] = "interrupted"
        row["reason"] = row["reason"] or _why_not_completed(row)
    frame = pd.DataFrame(rows, columns=[*TRIALS.columns])
    for column in ("started", "ended"):
        frame[column] = pd.to_datetime(frame[column], utc=True, format="ISO8601")
    for name in _own_columns(trials):
        values = [row.get(name) for row in rows]
        is_setting = name.startswith(PARAMETER)
        frame[name] = column_of(values) if is_setting else pd.Series(values, dtype="float64")
    return typed(frame, TRIALS)


def _why_not_completed(row: Mapping[str, Any]) -> str | None:
    if row["error"]:
        return last_line(row["error"])
    far = f"after epoch {row['epochs']}" if row["epochs"] else "before its first epoch ended"
    if row["state"] == "interrupted":
        return f"its command ended {far}"
    return f"under way, {far}" if row["state"] == "running" else None


def _apply(event: Mapping[str, Any], trials: dict[str, dict[str, Any]]) -> None:
    kind, trial_id = event["event"], event.get("trial_id")
    if trial_id is None:
        return
    row = trials.get(trial_id)
    if kind == "started":
        row = {
            "trial_id": trial_id, "replicates": event.get("replicates"),
            "parent": event.get("parent"), "from_epoch": event.get("from_epoch"),
            "state": "running", "value": None, "value_std": None, "epochs": 0, "seconds": 0.0,
            "attempts": 0, "started": event["time"], "ended": None, "node": event.get("node"),
            "reason": None, "pruned_at": None, "pruned_value": None, "needed": None, "error": None,
        }  # fmt: skip
        row |= {PARAMETER + k: NULL if v is None else v for k, v in event["params"].items()}
        trials[trial_id] = row | {"_before": 0.0}
    elif row is None:  # the line of its start cannot be read
        return
    elif kind == "attempt":
        row |= {"state": "running", "ended": None, "attempts": row["attempts"] + 1}
        row["_before"] = row["seconds"]
    elif kind == "reported":
        value = finite(event["value"])
        if value is not None and (row["value"] is None or value > row["value"]):
            row["value"], row["value_std"] = value, event.get("value_std")
        for name, cost in event.get("costs", {}).items():
            row[COST + name] = finite(cost)
        for text, excess in event.get("excess", {}).items():
            row[EXCESS + text] = math.inf if math.isnan(excess) else excess  # NaN breaks it
        seconds = math.nan if event["seconds"] is None else event["seconds"]  # lost
        row["epochs"], row["seconds"] = event["epoch"], row["_before"] + seconds
        row["node"] = event.get("node", row["node"])
    elif kind in FINAL:
        row |= {"state": kind, "ended": event["time"], "error": event.get("error")}
        row |= {key: event.get(key) for key in OF_PRUNED}
        row["seconds"] = event.get("seconds", row["seconds"])
        if "epochs" in event:  # from the curves: reports may be missing or repeated
            row |= {"epochs": event["epochs"], "value": event["value"]}
            row["value_std"] = row["value_std"] if event["value"] is not None else None
    elif kind == "retried":
        row |= {"state": "running", "ended": None, "error": None, **dict.fromkeys(OF_PRUNED)}


def finite(value: float | None) -> float | None:
    """The value if it is a finite number; else None."""
    return value if value is not None and math.isfinite(value) else None


def _events(lines: list[str]) -> list[dict[str, Any] | None]:
    """The event of each line; None where it cannot be read."""
    try:
        found = json.loads(f"[{','.join(lines)}]")  # twice as fast as one by one
    except json.JSONDecodeError:
        found = []
    if len(found) != len(lines):
        found = [_value(line) for line in lines]
    return [value if _is_whole(value) else None for value in found]


def _value(line: str) -> Any:
    try:
        return json.loads(line)
    except json.JSONDecodeError:
        return None


def _is_whole(event: Any) -> bool:
    if not isinstance(event, dict) or "event" not in event:
        return False
    return event["event"] != "started" or {"trial_id", "params", "time"} <= event.keys()


def _own_columns(trials: Mapping[str, Mapping[str, Any]]) -> list[str]:
    """The columns beyond `tables.TRIALS`: searched settings, costs, then constraints."""
    names = dict.fromkeys(k for row in trials.values() for k in row)
    return [k for prefix in (PARAMETER, COST, EXCESS) for k in names if k.startswith(prefix)]


def _end_last_line(file: Any) -> None:
    """Ends a line that a crash cut off, so that the next event has its own line."""
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
