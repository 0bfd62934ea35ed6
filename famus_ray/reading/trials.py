"""Queries on a table of trials."""

from __future__ import annotations

import math
import shlex
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from famus_ray.errors import last_line
from famus_ray.reading.summary import summarise
from famus_ray.records.ledger import EXCESS, NULL, PARAMETER

__all__ = [
    "BestTrial",
    "best_of",
    "is_feasible",
    "is_replica",
    "leaders",
    "plain",
    "settings_of",
    "state_counts",
    "states",
    "why_failed",
    "why_no_best",
    "with_test_accuracy",
]


@dataclass(frozen=True)
class BestTrial:
    """The trial with the highest value, and its settings by dotted key.

    Attributes:
        number: of the trial, from 0.
        value: with its own seed; if leaders were trained again, the mean over further seeds.
        settings: the searched ones, by dotted key.
        seeds: number of further seeds; 0 without them.
        std: the standard deviation over the further seeds; None with fewer than two.
        chosen_at: the value with its own seed, not part of the mean; None without further seeds.
    """

    number: int
    value: float
    settings: dict[str, Any]
    seeds: int = 0
    std: float | None = None
    chosen_at: float | None = None

    @property
    def headline(self) -> str:
        """Its value and the seeds behind it, as one line for the user."""
        if self.chosen_at is None:
            return f"{self.value:.4f}"
        over = "with 1 further seed" if self.seeds == 1 else f"mean of {self.seeds} further seeds"
        spread = "" if self.std is None else f" ± {self.std:.4f},"
        return f"{self.value:.4f}{spread} {over}; chosen at {self.chosen_at:.4f}"


def best_of(trials: pd.DataFrame) -> BestTrial | None:
    """The best trial of a study that keeps every constraint; None if no such trial has a value.

    It is the completed trial with the highest value. If none is completed, it is one of any state
    but failed. If leaders were trained again, it is the leader with the highest mean.

    Args:
        trials: `load_trials`.
    """
    leading = leaders(trials).dropna(subset="mean")
    if len(leading):
        first = leading.iloc[0]
        row = trials[trials["trial"] == first["trial"]].iloc[0]
        std = None if pd.isna(first["std"]) else float(first["std"])
        number, mean, seeds = int(first["trial"]), float(first["mean"]), int(first["seeds"])
        chosen_at = float(first["chosen_at"])
        return BestTrial(number, mean, settings_of(row), seeds, std, chosen_at)
    judged = trials["value"].map(math.isfinite) & trials["state"].ne("failed")
    trials = trials[is_feasible(trials) & ~is_replica(trials) & judged]
    completed = trials[trials["state"] == "completed"]
    candidates = completed if len(completed) else trials
    if not len(candidates):
        return None
    row = candidates.iloc[int(candidates["value"].argmax())]
    return BestTrial(int(row["trial"]), float(row["value"]), settings_of(row))


def leaders(trials: pd.DataFrame) -> pd.DataFrame:
    """The configurations that were trained again, one row each, the highest mean first.

    Columns: `trial`, `chosen_at` (its value with its own seed), `seeds` (number of further
    seeds), and `mean` and `std` of the value over them. The mean leaves out `chosen_at`: a trial
    chosen as the best of many owes its value partly to chance.

    Args:
        trials: `load_trials`.
    """
    rows = []
    again = trials[is_replica(trials) & trials["state"].eq("completed")]
    known = set(trials["trial"])  # the ledger may have lost a leader
    for number in again["replicates"].unique() if len(again) else ():
        if number not in known:
            continue
        chosen_at = trials.loc[trials["trial"] == number, "value"].item()
        values = again.loc[again["replicates"] == number, "value"]
        mean = values.mean(skipna=False)  # no mean if a seed has no finite value
        rows.append((int(number), chosen_at, len(values), mean, values.std()))
    table = pd.DataFrame(rows, columns=["trial", "chosen_at", "seeds", "mean", "std"])
    return table.sort_values("mean", ascending=False, kind="stable")


def is_replica(trials: pd.DataFrame) -> pd.Series[bool]:
    """Whether each trial repeats a leader's configuration with a further seed."""
    if "replicates" not in trials:
        return pd.Series(False, index=trials.index)
    return trials["replicates"].notna()


def why_no_best(trials: pd.DataFrame, study: str | Path) -> str:
    """A message for the user on why `best_of` is None; `study` is its path or name."""
    judged = trials["value"].notna() & trials["state"].ne("failed")
    if judged.any() and not is_feasible(trials[judged]).any():
        table = f"famus-ray trials {shlex.quote(str(study))}"
        return f"{study}: no trial keeps every constraint; see `{table}`"
    if not trials["state"].eq("failed").all():
        return f"{study}: no trial came to a value{_first_error(study, trials)}"
    return f"{study}: every trial failed{_first_error(study, trials)}"


def why_failed(trials: pd.DataFrame, study: str | Path) -> str | None:
    """A message for the user on how many trials failed, and why; None if none did.

    `study` is its path or name.
    """
    failed = trials[trials["state"] == "failed"]
    if not len(failed):
        return None
    return f"{study}: {len(failed)} failed{_first_error(study, failed)}"


def _first_error(study: str | Path, trials: pd.DataFrame) -> str:
    """The last line of the first trial's error, and the command that shows all of them."""
    whole = f"`famus-ray trials {shlex.quote(str(study))} --json` shows"
    said = [str(error).strip() for error in trials["error"].dropna() if str(error).strip()]
    if not said:
        return f"; {whole} why"
    return f", the first one with {last_line(said[0])}; {whole} all"


def is_feasible(trials: pd.DataFrame) -> pd.Series[bool]:
    """Whether each trial keeps every constraint of its study at its last report."""
    broken = [trials[c] > 0 for c in trials if str(c).startswith(EXCESS)]
    return ~pd.concat([pd.Series(False, index=trials.index), *broken], axis=1).any(axis=1)


def states(trials: pd.DataFrame) -> pd.Series[str]:
    """The state of each trial as text, with `, infeasible` added if it breaks a constraint."""
    state = trials["state"].astype(str)
    return state.where(is_feasible(trials), state + ", infeasible")


def state_counts(trials: pd.DataFrame) -> dict[str, int]:
    """The number of trials in each state; replicas of leaders count as `<state> (repeat)`."""
    again, state = is_replica(trials), trials["state"].astype(str)
    both = (state[~again], state[again] + " (repeat)")
    return {str(name): int(n) for states in both for name, n in states.value_counts().items()}


def with_test_accuracy(
    trials: pd.DataFrame, curves: pd.DataFrame, select: str = "validation"
) -> pd.DataFrame:
    """The trials that reported, with test accuracies over seeds (shares in [0, 1]).

    Further columns: `seeds`, `test_best`, `test_best_std`, `test_last10`, `test_last10_std`,
    `seconds_per_step`. `test_best` is at the epoch with the best accuracy on `select`,
    `test_last10` is the mean of the last ten epochs. Standard deviations are empty with one seed.

    Args:
        trials: `load_trials`.
        curves: `load_curves`.
        select: the run's run.select.
    """
    runs = [
        {"trial": key[0], **vars(summarise(rows, select))}
        for key, rows in curves.groupby(["trial", "seed"], dropna=False)
    ]
    over_seeds = (
        pd.DataFrame(runs)
        .groupby("trial")
        .agg(
            seeds=("best", "size"),
            test_best=("best", "mean"),
            test_best_std=("best", "std"),
            test_last10=("last10", "mean"),
            test_last10_std=("last10", "std"),
            seconds_per_step=("seconds_per_step", "mean"),
        )
    )
    return trials.merge(over_seeds, on="trial")


def settings_of(row: pd.Series[Any]) -> dict[str, Any]:
    """The searched settings of one row, by dotted key; a value may be None.

    Settings whose condition does not hold are left out.
    """
    return {
        str(name).removeprefix(PARAMETER): None if value == NULL else plain(value)
        for name, value in row.items()
        if str(name).startswith(PARAMETER) and not pd.isna(value)
    }


def plain(value: Any) -> Any:
    """The value as one of Python's own types."""
    return value.item() if hasattr(value, "item") else value
