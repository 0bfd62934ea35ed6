"""The runs in a study's folder `retrained/`: a comparison of methods over seeds."""

from __future__ import annotations

from pathlib import Path

import pandas as pd

from famus_ray.reading.loaded import load
from famus_ray.reading.summary import summarise

__all__ = ["comparison", "load_retrained", "retrained_curves"]


def load_retrained(study: Path) -> pd.DataFrame:
    """The finished runs, one row per run; empty if the study has none.

    Columns: `method`, `seed`, `best` and `last10` (test accuracies in [0, 1]), `epochs`,
    `seconds_per_step`, `path`.
    """
    rows = []
    for folder in _folders(study):
        found = load(folder)
        config = found.config
        summary = summarise(found.curves, config["run"]["select"])
        rows.append(
            {
                "method": config["method"]["name"],
                "seed": config["run"]["seed"],
                "best": summary.best,
                "last10": summary.last10,
                "epochs": summary.epochs,
                "seconds_per_step": summary.seconds_per_step,
                "path": str(folder),
            }
        )
    columns = ["method", "seed", "best", "last10", "epochs", "seconds_per_step", "path"]
    return pd.DataFrame(rows, columns=columns)


def comparison(retrained: pd.DataFrame) -> pd.DataFrame:
    """The mean and standard deviation over seeds of each method, the best method first."""
    grouped = retrained.groupby("method")
    table = grouped.agg(
        seeds=("seed", "nunique"),
        best=("best", "mean"),
        best_std=("best", "std"),
        last10=("last10", "mean"),
        last10_std=("last10", "std"),
        seconds_per_step=("seconds_per_step", "mean"),
    )
    return table.sort_values("last10", ascending=False).reset_index()


def retrained_curves(study: Path, metric: str) -> pd.DataFrame:
    """One metric of all retrained runs, in columns `epoch`, `value`, `method`, `seed`."""
    frames = []
    for folder in _folders(study):
        found = load(folder)
        config, curves = found.config, found.curves
        rows = curves.loc[curves["metric"] == metric, ["epoch", "value"]]
        frames.append(rows.assign(method=config["method"]["name"], seed=config["run"]["seed"]))
    return pd.concat(frames, ignore_index=True)


def _folders(study: Path) -> list[Path]:
    found = (study / "retrained").glob("*/curves.parquet")
    return sorted(path.parent for path in found)
