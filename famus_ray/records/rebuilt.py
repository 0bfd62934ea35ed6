"""Events that a ledger lost, rebuilt from the trials' folders: settings, epochs and values.

After a power cut or a clean-up a ledger may be empty, cut short, or have lines that cannot be
read. Each trial's `config.yaml` holds its settings, and its `curves.parquet` its results.
"""

from __future__ import annotations

import warnings
from collections.abc import Iterator, Mapping
from datetime import UTC, datetime
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from famus_ray.config.schema import StudyConfig
from famus_ray.errors import UserError
from famus_ray.records.judgement import History, judged, measured
from famus_ray.records.ledger import FINAL, OF_PRUNED, finite, in_place, read_events
from famus_ray.records.tables import CURVES, TRIALS, read_table
from famus_ray.spaces.constraints import read_constraint
from famus_ray.spaces.ranges import Choice, IntRange, Range, listed, scalar
from famus_ray.spaces.space_checks import is_of_a_trial
from famus_ray.spaces.space_file import read_ranges
from famus_ray.store import download

__all__ = ["all_events", "as_its_curves_say", "histories", "lost_events", "own_values"]

Values = dict[str, Any]


def all_events(study: Path) -> list[dict[str, Any]]:
    """The events of a study's ledger, with lost ones rebuilt, in order of time.

    A trial whose `config.yaml` cannot be read is left out, with a warning that names it.
    """
    events = read_events(study / "ledger.jsonl")
    return in_place(events, lost_events(study, events))


def lost_events(study: Path, events: list[dict[str, Any]]) -> list[dict[str, Any]]:
    """The rebuilt events of trials whose start is missing in the ledger.

    Args:
        study: the study's folder.
        events: of the ledger.
    """
    begun = {e["trial_id"] for e in events if e["event"] == "started"}
    told = {e["trial_id"] for e in events if "trial_id" in e}
    there = {p.name for p in (study / "trials").glob("*") if p.name.isdecimal() and p.is_dir()}
    lost = sorted((told | there) - begun)
    if not lost:
        return []
    base = _values(study / "config.yaml")
    if base.get("study.scheduler") == "pbt" and begun:  # a child's folder comes before its line
        lost = [trial for trial in lost if trial in told or trial < max(begun)]
    ranges, rows = _ranges(study), _rows(study)
    found: list[dict[str, Any]] = []
    for trial in lost:
        folder = study / "trials" / trial
        own = own_values(folder)
        if own is None:
            warnings.warn(
                f"{study}: trial {trial} is left out: the ledger lost its beginning, and "
                f"{folder / 'config.yaml'} is gone or damaged",
                stacklevel=2,
            )
            continue
        begins = _started(trial, folder, own, base, ranges)
        leader = _leader(begins["params"], [*events, *found])
        found.append(begins | ({} if leader is None else {"replicates": leader}))
        if trial not in told:
            found += _reports(trial, folder, own, begins["time"], rows.get(trial, {}))
    return found


def own_values(folder: Path) -> Values | None:
    """All settings of the trial in a folder, by dotted key; None if they cannot be read."""
    for path in (folder / "config.yaml", *sorted(folder.glob("seed-*/config.yaml"))):
        if found := _values(path):
            return found
    return None


def histories(folder: Path) -> list[dict[int, dict[str, float]]]:
    """The curves of a trial, one history per seed; curves that cannot be read are left out.

    A history holds metrics by name, by epoch.
    """
    found = []
    for path in (folder / "curves.parquet", *sorted(folder.glob("seed-*/curves.parquet"))):
        if not path.is_file():
            continue
        try:
            frame = read_table(path, CURVES)
        except UserError:
            continue
        history: dict[int, dict[str, float]] = {}
        for epoch, metric, value in frame[["epoch", "metric", "value"]].itertuples(index=False):
            history.setdefault(int(epoch), {})[str(metric)] = float(value)
        found.append(history)
    return found


def as_its_curves_say(folder: Path, study: StudyConfig) -> dict[str, Any]:
    """`epochs` and `value` of a failed trial from its curves; empty if it has no folder.

    Its reports may differ: some are missing if its process died before it could report, and some
    are of an earlier attempt if the trial started again from the beginning.
    """
    download(folder)
    if not folder.is_dir():
        return {}
    runs = histories(folder)
    if len(runs) < study.seeds:
        return {"epochs": 0, "value": None}
    epochs, value = judged(runs, study.metric)
    return {"epochs": epochs, "value": finite(value)}


def _started(
    trial: str, folder: Path, own: Values, base: Values, ranges: Mapping[str, Range]
) -> dict[str, Any]:
    differing = [k for k in own if is_of_a_trial(k) and scalar(own[k]) != scalar(base.get(k))]
    searched = [name for name, entry in ranges.items() if _holds(entry, own)]
    names = dict.fromkeys([*searched, *differing])
    params = {n: _as_searched(scalar(own[n]), ranges.get(n)) for n in names if n in own}
    if own.get("run.seed") != base.get("run.seed"):
        params["run.seed"] = own.get("run.seed")
    began = datetime.fromtimestamp(folder.stat().st_mtime, UTC).isoformat()
    return {"time": began, "event": "started", "trial_id": trial, "params": params, "rebuilt": True}


def _as_searched(value: Any, entry: Range | None) -> Any:
    """The value as the space has it: a config turns a whole number into 2.0 where it may be one."""
    if isinstance(entry, IntRange) and isinstance(value, float):
        return int(value)
    choices = map(scalar, entry.values) if isinstance(entry, Choice) else ()
    return next((choice for choice in choices if choice == value), value)


def _holds(entry: Range, own: Values) -> bool:
    return all(own.get(key) in listed(wanted) for key, wanted in entry.when.items())


def _leader(params: Values, events: list[dict[str, Any]]) -> int | None:
    """The trial that these settings repeat with another seed; None if there is none."""
    if "run.seed" not in params:
        return None
    without = {name: value for name, value in params.items() if name != "run.seed"}
    alike = (e for e in events if e["event"] == "started" and e["params"] == without)
    return next((int(e["trial_id"]) for e in alike), None)


def _reports(
    trial: str, folder: Path, own: Values, time: str, row: Mapping[str, Any]
) -> Iterator[dict[str, Any]]:
    runs, metric = histories(folder), own["study.metric"]
    last, _ = judged(runs, metric)
    common = {"time": time, "trial_id": trial, "rebuilt": True}
    for epoch in range(1, last + 1):
        upto: list[History] = [{e: m for e, m in run.items() if e <= epoch} for run in runs]
        _, value = judged(upto, metric)
        latest = _mean([run[epoch][metric] for run in upto])
        yield {
            **common, "event": "reported", "epoch": epoch, "seconds": None, "value": finite(value),
            "latest": latest, **_others(upto, own),
        }  # fmt: skip
    done = "completed" if last >= own["schedule.epochs"] else None
    if state := (row.get("state") if row.get("state") in FINAL else done):
        names = ("error", "seconds", *(OF_PRUNED if state == "pruned" else ()))
        kept = {k: row[k] for k in names if pd.notna(row.get(k))}
        yield {**common, "event": state, **kept}


def _others(runs: list[History], own: Values) -> dict[str, Any]:
    """The fields `costs` and `excess` of a report, if the study has objectives or constraints."""
    metric = own["study.metric"]

    def over_seeds(curve: str) -> float:
        return _mean([measured(run, curve, metric) for run in runs])

    costs = {name: over_seeds(name) for name in own.get("study.minimise") or ()}
    bounds = [read_constraint(text) for text in own.get("study.constraints") or ()]
    excess = {bound.text: bound.excess(over_seeds(bound.curve)) for bound in bounds}
    return {**({"costs": costs} if costs else {}), **({"excess": excess} if excess else {})}


def _mean(values: list[float]) -> float:
    return sum(values) / len(values)


def _values(path: Path) -> Values:
    """The settings in a config.yaml, by dotted key; empty if it cannot be read."""
    try:
        content = yaml.safe_load(path.read_text(encoding="utf-8"))
        return {f"{s}.{key}": value for s, keys in content.items() for key, value in keys.items()}
    except (OSError, ValueError, AttributeError, yaml.YAMLError):
        return {}


def _ranges(study: Path) -> dict[str, Range]:
    try:
        return read_ranges(study / "space.yaml")
    except UserError:
        return {}


def _rows(study: Path) -> dict[str, dict[str, Any]]:
    """The rows of `trials.parquet`, written at the end of the study's last command, by trial."""
    try:
        table = read_table(study / "trials.parquet", TRIALS)
    except UserError:
        return {}
    return {str(row["trial_id"]): dict(row) for _, row in table.iterrows()}
