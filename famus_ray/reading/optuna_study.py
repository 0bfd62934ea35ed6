"""A study as an Optuna study, for Optuna's own plots and importances."""

from __future__ import annotations

import math
import warnings
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from famus_ray.errors import NotInstalled
from famus_ray.reading.loaded import Loaded, load
from famus_ray.reading.pareto import cost_columns
from famus_ray.reading.trials import is_replica, settings_of
from famus_ray.records.ledger import COST
from famus_ray.records.rebuilt import all_events
from famus_ray.spaces.ranges import Choice, FloatRange, IntRange, Range, Searched, scalar

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.study import Study, StudyDirection
    from optuna.trial import FrozenTrial

__all__ = ["load_study"]

_STATES = {
    "completed": "COMPLETE",
    "pruned": "PRUNED",
    "failed": "FAIL",
    "interrupted": "RUNNING",  # `resume` goes on with it
    "running": "RUNNING",
}


def load_study(study: str | Path) -> Study:
    """The trials of a study as an Optuna study in memory, to look at; it changes nothing on disk.

    Its first objective is the study's metric, which is maximised; `study.minimise` follow. The
    searched settings are parameters, with their ranges; where the space was edited these are
    widened to hold all values. Values so far are intermediate values, by epoch. An interrupted
    trial is RUNNING, and one without a finite result has failed. What else is known of a trial is
    in its `user_attrs`: `trial` (its number here), `state`, `epochs`, `seconds`, `reason`,
    `parent`, and settings that were not searched. Leaders' further seeds are left out, as the
    searcher does not know them.

    Args:
        study: its path, URL, or name under `runs/`.

    Raises:
        UserError: not the folder of a study, or Optuna is not installed.
    """
    try:
        import optuna
    except ModuleNotFoundError as error:
        raise NotInstalled("load_study: needs Optuna; pip install optuna") from error
    found = load(study)
    trials = found.trials[~is_replica(found.trials)]
    costs = cost_columns(trials)
    up, down = optuna.study.StudyDirection.MAXIMIZE, optuna.study.StudyDirection.MINIMIZE
    directions = [up, *(down for _ in costs)]
    names = [str(found.config["study"]["metric"]), *(c.removeprefix(COST) for c in costs)]
    made = _new_study(found.name, directions, names)
    settings = {int(row["trial"]): settings_of(row) for _, row in trials.iterrows()}
    ranges = found.ranges if (found.path / "space.yaml").is_file() else {}
    known = _distributions(ranges, [*settings.values()])
    history = _history(found)
    for _, row in trials.iterrows():
        values = history.get(str(row["trial_id"]), {})
        made.add_trial(_trial(row, settings[int(row["trial"])], known, values, costs))
    return made


def _new_study(name: str, directions: Sequence[StudyDirection], metrics: Sequence[str]) -> Study:
    """An empty study in memory, made without a word."""
    import optuna

    before = optuna.logging.get_verbosity()
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    try:
        made = optuna.create_study(study_name=name, directions=directions)
    finally:
        optuna.logging.set_verbosity(before)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")  # "experimental"
        made.set_metric_names([*metrics])
    return made


def _trial(
    row: pd.Series[Any],
    settings: Mapping[str, Any],
    known: Mapping[str, BaseDistribution],
    history: Mapping[int, float],
    costs: Sequence[str],
) -> FrozenTrial:
    from optuna.trial import TrialState, create_trial

    state = _STATES[row["state"]]
    values = [float(row[name]) for name in ("value", *costs)]
    if state == "COMPLETE" and not all(map(math.isfinite, values)):
        state = "FAIL"
    about = ("trial", "state", "epochs", "seconds", "reason", "parent")
    kept = {name: row[name] for name in about if pd.notna(row[name])}
    trial = create_trial(
        state=TrialState[state],
        values=values if state == "COMPLETE" else None,
        params={name: value for name, value in settings.items() if name in known},
        distributions={name: known[name] for name in settings if name in known},
        intermediate_values=dict(history),
        user_attrs={
            **{k: v.item() if hasattr(v, "item") else v for k, v in kept.items()},
            **{name: value for name, value in settings.items() if name not in known},
        },
    )
    began, ended = (
        None if pd.isna(row[name]) else row[name].tz_convert(None).to_pydatetime()
        for name in ("started", "ended")
    )
    trial.datetime_start = began
    if trial.state.is_finished():
        trial.datetime_complete = ended or began
    return trial


def _history(found: Loaded) -> dict[str, dict[int, float]]:
    """The best value so far by epoch, of each trial by the name of its folder."""
    values: dict[str, dict[int, float]] = {}
    for event in all_events(found.path):
        if event["event"] == "reported":
            value = math.nan if event["value"] is None else float(event["value"])
            values.setdefault(event["trial_id"], {})[int(event["epoch"])] = value
    return values


def _distributions(
    ranges: Mapping[str, Range], settings: Sequence[Mapping[str, Any]]
) -> dict[str, BaseDistribution]:
    """The distribution of each searched setting that some trial has, with all of its values."""
    found = {}
    for name, entry in ranges.items():
        values = [own[name] for own in settings if name in own]
        if values and isinstance(entry, Searched):
            found[name] = _distribution(entry, values)
    return found


def _distribution(entry: Searched, values: Sequence[Any]) -> BaseDistribution:
    from optuna.distributions import CategoricalDistribution

    if all(entry.contains(value) for value in values) and not isinstance(entry, Choice):
        return entry.distribution()
    if isinstance(entry, IntRange | FloatRange) and all(
        isinstance(value, int if isinstance(entry, IntRange) else float | int) for value in values
    ):
        ends = {"low": min(entry.low, *values), "high": max(entry.high, *values)}
        step = None if isinstance(entry, FloatRange) else 1
        log = entry.log and ends["low"] > 0
        return entry.model_copy(update={**ends, "step": step, "log": log}).distribution()
    before = map(scalar, entry.values) if isinstance(entry, Choice) else ()
    return CategoricalDistribution(list(dict.fromkeys([*before, *values])))
