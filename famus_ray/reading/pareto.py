"""The Pareto front of a study with several objectives."""

from __future__ import annotations

import math

import pandas as pd

from famus_ray.reading.trials import is_feasible
from famus_ray.records.ledger import COST

__all__ = ["cost_columns", "pareto_front"]


def cost_columns(trials: pd.DataFrame) -> list[str]:
    """The columns of the minimised objectives, `cost.<curve>`; empty for most studies."""
    return [str(c) for c in trials if str(c).startswith(COST)]


def pareto_front(trials: pd.DataFrame) -> pd.DataFrame:
    """The Pareto front of a study's trials, the highest value first.

    It holds the completed trials that keep every constraint and are not dominated: no other such
    trial is at least as good in all objectives and better in one. Without costs, it holds the
    trials with the highest value.

    Args:
        trials: `load_trials`.
    """
    costs = cost_columns(trials)
    done = trials[(trials["state"] == "completed") & is_feasible(trials)]
    done = done.replace([math.inf, -math.inf], math.nan).dropna(subset=["value", *costs])
    losses = pd.concat([-done["value"], *(done[c] for c in costs)], axis=1).to_numpy()
    beaten = [
        bool(((losses <= own).all(axis=1) & (losses < own).any(axis=1)).any()) for own in losses
    ]
    front = done[[not b for b in beaten]]
    return front.sort_values(["value", *costs], ascending=[False, *(True for _ in costs)])
