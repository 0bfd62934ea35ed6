"""Trials on screen: the table of a study's trials, and one of them."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING

from famus_ray.cli.output import print_table, say, short

if TYPE_CHECKING:
    import pandas as pd

    from famus_ray.reading.one_trial import OneTrial

__all__ = ["show_trial", "show_trials"]


def show_trials(
    chosen: pd.DataFrame,
    trials: pd.DataFrame,
    mark: pd.Series[str],
    to: Path | None,
    as_json: bool,
) -> None:
    """Prints trials as a table or JSON, or writes them to a file.

    Args:
        chosen: the rows to show.
        trials: all of them, of which the best is told.
        mark: of all of them, from `ranking.marks`.
        to: a file with one of `writing.ENDINGS`; None for the screen.
        as_json: whether to print JSON.
    """
    from famus_ray.reading.trials import best_of
    from famus_ray.reading.writing import write_frame

    if to is not None:
        write_frame(chosen, to, "trials")
        print(json.dumps({"trials": str(to)}) if as_json else to)
        return
    if as_json:
        print(chosen.to_json(orient="records", date_format="iso"))
        return
    _print(chosen, mark.loc[chosen.index])
    if len(chosen) < len(trials):
        say(f"{len(chosen)} of {len(trials)} trials")
    best = best_of(trials) if "run" not in trials else None
    if best is not None and best.seeds:
        say(f"best: trial {best.number}, {best.headline}")


def _print(trials: pd.DataFrame, mark: pd.Series[str]) -> None:
    from famus_ray.reading.trials import states
    from famus_ray.records.ledger import COST, EXCESS, PARAMETER

    shown = trials.assign(state=states(trials) + mark.where(mark.eq(""), ", " + mark))

    def filled(*names: str) -> list[str]:
        return [name for name in names if name in shown and shown[name].notna().any()]

    def beginning(*starts: str) -> list[str]:
        return [str(name) for name in shown if str(name).startswith(starts)]

    columns = [
        *(["run"] if "run" in shown else []), "trial", "state",
        *filled("replicates", "parent", "from_epoch"), "value", *filled("value_std"),
        *beginning(COST, EXCESS, "test_", "seeds", "seconds_per"), "epochs", "seconds",
        *beginning(PARAMETER), *filled("reason"),
    ]  # fmt: skip
    rows = shown[columns].astype(object).where(shown[columns].notna(), "")
    names = [name.removeprefix(PARAMETER).removeprefix(COST) for name in columns]
    print_table(names, [[short(v) for v in row] for row in rows.itertuples(index=False)])


def show_trial(found: OneTrial) -> None:
    """Prints a trial: its end, its settings beside the best trial's, commands and log."""
    value = "" if found.value is None else f", {found.value:.4f}"
    is_best = found.trial == found.best
    print(f"trial {found.trial}: {found.state}{value} after {found.epochs} epochs", end="")
    print(", the best\n" if is_best else "\n")
    if found.reason:
        print(f"why: {found.reason}\n")
    names = dict.fromkeys([*found.settings, *found.differences])
    heads = ["setting", "here"] + ([] if is_best or found.best is None else ["best"])
    rows = []
    for name in names:
        here = short(found.settings[name]) if name in found.settings else ""
        other = found.differences.get(name)
        best = "the same" if other is None else short(other["best"]) if "best" in other else ""
        rows.append([name, here, best][: len(heads)])
    print_table(heads, rows)
    print("\ntrain it again:" if found.commands else "\nit went on from another trial's weights")
    for command in found.commands:
        print(f"  {command}")
    print("\nlog:")
    for line in (*found.log, *found.error):
        print(f"  {line}")
