"""One trial of a study: how it ended, how to train it again, and what sets it apart."""

from __future__ import annotations

import json
import math
from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import Path
from shlex import quote
from typing import Any

import pandas as pd

from famus_ray.errors import UserError
from famus_ray.reading.loaded import Loaded
from famus_ray.reading.trials import settings_of
from famus_ray.records.folders import load_config
from famus_ray.records.rebuilt import all_events
from famus_ray.store import shown

__all__ = ["OneTrial", "one_trial"]

_EVENTS, _LINES = 10, 15  # of the log, and of a traceback


@dataclass(frozen=True)
class OneTrial:
    """A trial.

    Attributes:
        trial: its number.
        state: how it ended.
        value: the study's metric at its best epoch; None if it was never finite.
        epochs: that it finished.
        reason: why it is not completed; None if it is.
        settings: the searched ones, by dotted key.
        best: number of the study's best trial; None if there is none.
        differences: the settings that differ from the best trial's: this one's and that one's; a
            setting that one of them does not have is missing there.
        commands: one for each seed, which train it again.
        log: its latest events.
        error: the end of its traceback; empty if there is none.
    """

    trial: int
    state: str
    value: float | None
    epochs: int
    reason: str | None
    settings: dict[str, Any]
    best: int | None
    differences: dict[str, dict[str, Any]]
    commands: list[str]
    log: list[str]
    error: list[str]


def one_trial(found: Loaded, number: int) -> OneTrial:
    """What is known of a trial.

    Raises:
        UserError: the study has no such trial.
    """
    rows = found.trials[found.trials["trial"] == number]
    if rows.empty:
        first, last = found.trials["trial"].min(), found.trials["trial"].max()
        known = f"it has {first} to {last}" if len(found.trials) else "it has none yet"
        raise UserError(f"{found.path}: no trial {number}; {known}")
    row = rows.iloc[0]
    settings, best = settings_of(row), found.best
    other = {} if best is None else best.settings
    value = float(row["value"])
    return OneTrial(
        trial=number,
        state=str(row["state"]),
        value=value if math.isfinite(value) else None,
        epochs=int(row["epochs"]),
        reason=None if pd.isna(row["reason"]) else str(row["reason"]),
        settings=settings,
        best=None if best is None else best.number,
        differences={} if best is None else _differences(settings, other),
        commands=_commands(found.path, row, settings),
        log=_log(found.path, str(row["trial_id"])),
        error=[] if pd.isna(row["error"]) else str(row["error"]).strip().splitlines()[-_LINES:],
    )


def _differences(own: Mapping[str, Any], other: Mapping[str, Any]) -> dict[str, dict[str, Any]]:
    nothing = object()
    return {
        name: {
            **({"here": own[name]} if name in own else {}),
            **({"best": other[name]} if name in other else {}),
        }
        for name in dict.fromkeys([*own, *other])
        if own.get(name, nothing) != other.get(name, nothing)
    }


def _commands(study: Path, row: pd.Series[Any], settings: Mapping[str, Any]) -> list[str]:
    """The commands that train the trial anew; none for one that went on from another's weights."""
    if pd.notna(row["parent"]):
        return []
    folder = study / "trials" / str(row["trial_id"])
    files = [folder / "config.yaml", *sorted(folder.glob("seed-*/config.yaml"))]
    if there := [path for path in files if path.is_file()]:
        return [f"famus-ray train {quote(shown(path))}{_threads(path.parent)}" for path in there]
    words = [f"{name}={v if isinstance(v, str) else json.dumps(v)}" for name, v in settings.items()]
    base = quote(shown(study / "config.yaml"))
    return [" ".join(["famus-ray train", base, *map(quote, words)])]


def _threads(run: Path) -> str:
    """The setting of as many threads as a trial has; with others, sums are rounded otherwise."""
    config = load_config(run)
    if config["run"].get("threads") is not None or config["scale"]["workers"] > 1:
        return ""
    return f" run.threads={max(1, int(config['scale']['cpus_per_worker']))}"


def _log(study: Path, trial_id: str) -> list[str]:
    """The trial's latest events in the ledger, a line each."""
    own = [event for event in all_events(study) if event.get("trial_id") == trial_id]
    return [_line(event) for event in own[-_EVENTS:]]


def _line(event: Mapping[str, Any]) -> str:
    time, kind = str(event["time"])[:19].replace("T", " "), event["event"]
    if kind != "reported":
        return f"{time}  {kind}"
    value = "not finite" if event["value"] is None else f"{event['value']:.4g}"
    seconds = "" if event["seconds"] is None else f"  {event['seconds']:.1f} s"
    return f"{time}  epoch {event['epoch']}: {value}{seconds}"
