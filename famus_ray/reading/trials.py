"""Questions to a table of trials."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from famus_ray.ledger import PARAMETER
from famus_ray.reading.folders import load_trials

__all__ = ["BestTrial", "best_of", "best_trial", "settings_of"]


@dataclass(frozen=True)
class BestTrial:
    """The trial with the highest value, and its settings by dotted key."""

    number: int
    value: float
    settings: dict[str, Any]


def best_trial(study: str | Path) -> BestTrial | None:
    """The completed trial with the highest value; of any state if none is completed.

    None where no trial has a value.
    """
    return best_of(load_trials(study))


def best_of(trials: pd.DataFrame) -> BestTrial | None:
    """`best_trial` of a table that is loaded already."""
    trials = trials.dropna(subset=["value"])
    completed = trials[trials["state"] == "completed"]
    candidates = completed if len(completed) else trials
    if not len(candidates):
        return None
    row = candidates.iloc[int(candidates["value"].argmax())]
    return BestTrial(int(row["trial"]), float(row["value"]), settings_of(row))


def settings_of(row: pd.Series[Any]) -> dict[str, Any]:
    """The searched settings of one row, without those that its conditions left out."""
    return {
        str(name).removeprefix(PARAMETER): _plain(value)
        for name, value in row.items()
        if str(name).startswith(PARAMETER) and not pd.isna(value)
    }


def _plain(value: Any) -> Any:
    """A Python value; whole numbers that pandas widened because of gaps are whole again."""
    value = value.item() if hasattr(value, "item") else value
    return int(value) if isinstance(value, float) and value.is_integer() and value > 1 else value
