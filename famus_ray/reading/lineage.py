"""Schedules found by population based training: each trial's settings over its epochs."""

from __future__ import annotations

import pandas as pd

from famus_ray.records.ledger import PARAMETER

__all__ = ["changed_settings", "schedule_of"]


def changed_settings(trials: pd.DataFrame) -> list[str]:
    """The settings in which some child differs from its parent; empty without pbt.

    Args:
        trials: `load_trials`.
    """
    children = trials[trials["parent"].notna() & trials["from_epoch"].notna()]
    parents = trials.set_index("trial").reindex(children["parent"])
    columns = [c for c in trials if str(c).startswith(PARAMETER)]
    pairs = {c: zip(children[c], parents[c], strict=True) for c in columns}
    return [
        str(c).removeprefix(PARAMETER)
        for c, values in pairs.items()
        if any(pd.notna(own) and (pd.isna(of) or own != of) for own, of in values)
    ]


def schedule_of(trials: pd.DataFrame, number: int, setting: str) -> pd.Series:
    """A setting of a trial by epoch, from 1; before the trial's start it is its parent's.

    Args:
        trials: `load_trials`.
        number: of the trial.
        setting: by dotted key.
    """
    rows = trials.set_index("trial").to_dict("index")
    row = rows[number]
    values = dict.fromkeys(range(1, row["epochs"] + 1), row[PARAMETER + setting])
    while pd.notna(row["parent"]) and pd.notna(row["from_epoch"]):
        born, row = row["from_epoch"], rows[row["parent"]]
        values |= dict.fromkeys(range(1, born + 1), row[PARAMETER + setting])
    return pd.Series(values)
