"""The order of a table of trials, and marks of the best ones."""

from __future__ import annotations

from collections.abc import Callable
from typing import TypeVar

import pandas as pd

from famus_ray.reading.pareto import cost_columns, pareto_front
from famus_ray.reading.trials import best_of, is_feasible, is_replica, leaders

__all__ = ["marks", "ranked"]

_Rows = TypeVar("_Rows", pd.DataFrame, "pd.Series[str]")


def ranked(trials: pd.DataFrame) -> pd.DataFrame:
    """The rows of a table of trials, the best first, and each replica below its leader.

    Leaders that were trained again come first, by their mean, and then the Pareto front of
    several objectives. Completed trials follow, then others, by value. Trials that break a
    constraint come last. The trials of several studies are ranked study by study.

    Args:
        trials: `load_trials`.
    """
    return _of_each(trials, _ranked)


def _ranked(trials: pd.DataFrame) -> pd.DataFrame:
    whose = trials["trial"].where(~is_replica(trials), trials.get("replicates")).astype("int64")
    by_trial = pd.DataFrame(
        {
            "mean": trials["trial"].map(leaders(trials).set_index("trial")["mean"]),
            "feasible": is_feasible(trials).astype(float),
            "completed": trials["state"].eq("completed").astype(float),
            "front": marks(trials).eq("Pareto front").astype(float),
            "value": trials["value"],
        }
    ).set_index(trials["trial"])
    keys = by_trial.reindex(whose).set_index(trials.index)
    keys = keys.assign(whose=whose, replica=is_replica(trials), trial=trials["trial"])
    highest_first = [*by_trial]
    order = keys.sort_values([*keys], ascending=[c not in highest_first for c in keys])
    return trials.loc[order.index]


def marks(trials: pd.DataFrame) -> pd.Series[str]:
    """A mark for each trial: `best` for the best one, "" for others.

    With several objectives there is no single best trial: those of the front have the mark
    `Pareto front`.
    """
    return _of_each(trials, _marks)


def _marks(trials: pd.DataFrame) -> pd.Series[str]:
    front = pareto_front(trials) if cost_columns(trials) else trials[:0]
    best = best_of(trials)
    numbers = [*front["trial"]] or ([] if best is None else [best.number])
    mark = "Pareto front" if len(front) else "best"
    return trials["trial"].isin(numbers).map({True: mark, False: ""})


def _of_each(trials: pd.DataFrame, work: Callable[[pd.DataFrame], _Rows]) -> _Rows:
    """What `work` returns of the trials, or of those of each study in turn."""
    if "run" not in trials:
        return work(trials)
    studies = trials.groupby("run", observed=True, sort=False)
    return pd.concat([work(rows) for _, rows in studies])
