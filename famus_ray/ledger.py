"""The ledger of a study: an append-only record of every trial, and the truth about them.

One JSON object a line, each synced to disk before the study goes on; a line cut off by a
crash is the last, and is left out by readers. Ray's own records are not needed to read it.
"""

from __future__ import annotations

import fcntl
import json
import os
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd

from famus_ray.errors import UserError
from famus_ray.tables import TRIALS

__all__ = [
    "PARAMETER",
    "append_event",
    "holding",
    "is_held",
    "read_events",
    "trials_table",
]

PARAMETER = "param."  # columns of the trials table that hold a searched setting begin so

_FINAL = {"completed", "pruned", "failed"}


def append_event(path: Path, event: str, trial_id: str, **details: Any) -> None:
    """Add one line: what happened to which trial, and when (UTC)."""
    now = datetime.now(UTC).isoformat()
    line = json.dumps({"time": now, "event": event, "trial_id": trial_id, **details})
    with path.open("a", encoding="utf-8") as file:
        file.write(line + "\n")
        file.flush()
        os.fsync(file.fileno())


@contextmanager
def holding(path: Path) -> Iterator[None]:
    """Be the one process that writes the ledger, while inside.

    Raises:
        UserError: another process is.
    """
    path.parent.mkdir(parents=True, exist_ok=True)
    with path.open("a") as file:
        try:
            fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
        except BlockingIOError as error:
            raise UserError(f"{path.parent}: another process is running this study") from error
        yield


def is_held(path: Path) -> bool:
    """Whether a process is writing the ledger now: the study is under way."""
    with path.open() as file:
        try:
            fcntl.flock(file, fcntl.LOCK_SH | fcntl.LOCK_NB)
        except BlockingIOError:
            return True
        return False


def read_events(path: Path) -> Iterator[dict[str, Any]]:
    """The events in their order, without a line that a crash cut off."""
    if not path.is_file():
        return
    for line in path.read_text(encoding="utf-8").splitlines():
        try:
            yield json.loads(line)
        except json.JSONDecodeError:
            continue


def trials_table(path: Path, *, live: bool = False) -> pd.DataFrame:
    """One row a trial, `tables.TRIALS`, and one column `param.<setting>` a searched setting.

    Args:
        path: the ledger.
        live: the study is under way; otherwise a trial without an end was interrupted.
    """
    trials: dict[str, dict[str, Any]] = {}
    for event in read_events(path):
        _apply(event, trials)
    rows = [{"trial": number, **row} for number, row in enumerate(trials.values())]
    frame = pd.DataFrame(rows, columns=[*TRIALS.columns, *_parameters(trials)])
    if not live:
        frame.loc[frame["state"] == "running", "state"] = "interrupted"
    for column in ("started", "ended"):
        frame[column] = pd.to_datetime(frame[column], utc=True, format="ISO8601")
    return frame.astype({name: dtype for name, (dtype, _, _) in TRIALS.columns.items()})


def _apply(event: Mapping[str, Any], trials: dict[str, dict[str, Any]]) -> None:
    kind, trial_id = event["event"], event["trial_id"]
    if kind == "started":
        row: dict[str, Any] = {
            "trial_id": trial_id, "state": "running", "value": None, "epochs": 0, "seconds": 0.0,
            "started": event["time"], "ended": None, "node": event.get("node"), "error": None,
        }  # fmt: skip
        row |= {PARAMETER + key: value for key, value in event["params"].items()}
        trials[trial_id] = row
        return
    row = trials[trial_id]
    if kind == "reported":
        value = event["value"]
        better = value is not None and (row["value"] is None or value > row["value"])
        row["value"] = value if better else row["value"]
        row |= {"epochs": event["epoch"], "seconds": event["seconds"]}
        row["node"] = event.get("node", row["node"])
    elif kind in _FINAL:
        row |= {"state": kind, "ended": event["time"], "error": event.get("error")}


def _parameters(trials: Mapping[str, Mapping[str, Any]]) -> list[str]:
    return list(dict.fromkeys(k for row in trials.values() for k in row if k.startswith(PARAMETER)))
