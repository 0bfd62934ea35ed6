"""How much each searched setting matters to a study's value."""

from __future__ import annotations

import math
import warnings
from pathlib import Path

import optuna
import pandas as pd
from optuna.trial import TrialState, create_trial

from famus_ray.config.ranges import Searched
from famus_ray.config.space_file import read_ranges
from famus_ray.ledger import PARAMETER
from famus_ray.reading.trials import is_replica, settings_of

__all__ = ["FEWEST_TRIALS", "comparable_values", "optuna_study", "parameter_importance"]

FEWEST_TRIALS = 4  # with fewer a share of the variance means nothing

_STATES = {
    "completed": TrialState.COMPLETE,
    "pruned": TrialState.PRUNED,
    "failed": TrialState.FAIL,
}


def optuna_study(trials: pd.DataFrame, space_file: Path) -> optuna.Study:
    """An Optuna study, in memory, rebuilt from the table of trials: for its plots and analyses.

    States are as in the table, which Ray Tune's own record does not keep.
    """
    ranges = {
        name: entry.distribution()
        for name, entry in read_ranges(space_file).items()
        if isinstance(entry, Searched)
    }
    optuna.logging.set_verbosity(optuna.logging.WARNING)
    study = optuna.create_study(direction="maximize")
    for _, row in trials.iterrows():
        state = _STATES.get(str(row["state"]))
        if state is None:
            continue
        settings = {name: v for name, v in settings_of(row).items() if name in ranges}
        value = None if pd.isna(row["value"]) else float(row["value"])
        study.add_trial(
            create_trial(
                state=state,
                params=settings,
                distributions={name: ranges[name] for name in settings},
                value=value if state is TrialState.COMPLETE else None,
                intermediate_values={} if value is None else {int(row["epochs"]): value},
            )
        )
    return study


def comparable_values(
    trials: pd.DataFrame, curves: pd.DataFrame, metric: str
) -> tuple[pd.DataFrame, int]:
    """The trials with values that may be compared, and the epoch at which they were reached.

    These are the completed trials, without those that train a leader again. With fewer than
    `FEWEST_TRIALS` of them, all trials that reported, each with its best value up to the last
    epoch that all of them reached: a pruned trial's final value is from another epoch than the
    others'.
    """
    trials = trials[~is_replica(trials)]
    completed = trials[trials["state"] == "completed"]
    if len(completed) >= FEWEST_TRIALS:
        return completed, int(completed["epochs"].max())
    reported = trials[(trials["epochs"] > 0) & (trials["state"] != "failed")]
    if reported.empty:
        return reported, 0
    epoch = int(reported["epochs"].min())
    early = curves[(curves["metric"] == metric) & (curves["epoch"] <= epoch)]
    best = early.groupby(["trial", "seed"], dropna=False)["value"].max().groupby("trial").mean()
    return reported.assign(value=reported["trial"].map(best), state="completed"), epoch


def parameter_importance(trials: pd.DataFrame, space_file: Path, seed: int = 0) -> pd.Series:
    """Share of the variance of the value that each setting explains (fANOVA), largest first.

    Over the settings that all of the trials have; empty with fewer than `FEWEST_TRIALS`
    of them, or where all came to the same value.

    Args:
        trials: `comparable_values`.
        space_file: the study's space.
    """
    nothing = pd.Series(dtype=float)
    if len(trials) < FEWEST_TRIALS or trials["value"].nunique() < 2:
        return nothing
    names = [str(c).removeprefix(PARAMETER) for c in trials if str(c).startswith(PARAMETER)]
    searched = {n for n, entry in read_ranges(space_file).items() if isinstance(entry, Searched)}
    always = [n for n in names if n in searched and trials[PARAMETER + n].notna().all()]
    varied = [n for n in always if trials[PARAMETER + n].nunique() > 1]
    if not varied:
        return nothing
    with warnings.catch_warnings():
        warnings.simplefilter("ignore")
        found = optuna.importance.get_param_importances(
            optuna_study(trials, space_file),
            evaluator=optuna.importance.FanovaImportanceEvaluator(seed=seed),
            params=varied,
        )
    shares = pd.Series(found, dtype=float)
    return shares[shares.map(math.isfinite)].sort_values(ascending=False)
