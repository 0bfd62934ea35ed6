"""Runs and studies on disk, as pandas data frames."""

from __future__ import annotations

import math
import shlex
import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

import pandas as pd

from famus_ray.errors import UserError
from famus_ray.records.folders import find_folder, is_study, load_config
from famus_ray.records.ledger import is_held, table_of
from famus_ray.records.rebuilt import all_events
from famus_ray.records.samples import read_samples
from famus_ray.records.tables import CURVES, TRIALS, read_table

__all__ = [
    "RunSummary",
    "load_curves",
    "load_samples",
    "load_trials",
    "summarise",
]


@dataclass(frozen=True)
class RunSummary:
    """The results of a run; accuracies are shares in [0, 1].

    Attributes:
        epochs: completed.
        best_epoch: epoch of the highest accuracy on `selected_on`, the latest one of ties.
        best: test accuracy at that epoch.
        last10: mean test accuracy of the last ten epochs.
        seconds_per_step: mean over the epochs.
        selected_on: the split that picked the best epoch, validation or test.
    """

    epochs: int
    best_epoch: int
    best: float
    last10: float
    seconds_per_step: float
    selected_on: str


def load_trials(study: str | Path) -> pd.DataFrame:
    """The trials of a study, one row per trial, in the order of their start.

    - `trial`, `trial_id`: its number, from 0, and the name of its folder under trials/;
    - `replicates`: the trial whose configuration it trains with another seed;
    - `parent`, `from_epoch`: the trial and epoch whose checkpoint it continued from (pbt);
    - `state`: running, completed, pruned, failed or interrupted;
    - `value`, `value_std`: the study's metric at the best epoch, a share in [0, 1] if it is an
      accuracy, and its standard deviation over seeds; empty if it was never finite;
    - `epochs`, `seconds`, `attempts`: completed epochs, training time, number of starts;
    - `started`, `ended`, `node`: when and where it ran;
    - `reason`: why it was pruned;
    - `error`: the traceback of a failed trial, or how a pruned one diverged.

    There are further columns for each searched setting, `param.<setting>`: empty where its
    condition does not hold, and the text `null` for null; for each minimised objective,
    `cost.<curve>`; and for each constraint, `excess.<constraint>`, above 0 where it is broken.

    The table comes from the ledger: it has failed, pruned and interrupted trials, and can be read
    while the study is running.

    Args:
        study: its path, or its name under `runs/`.

    Raises:
        UserError: not the folder of a study.
    """
    folder = find_folder(study)
    ledger = folder / "ledger.jsonl"
    if ledger.is_file():
        return table_of(all_events(folder), live=is_held(ledger))
    if (frame := _kept_table(folder / "trials.parquet")) is not None:
        for column in {"replicates", "parent", "from_epoch", "reason"} - {*frame}:  # older versions
            dtype = "string" if column == "reason" else "Int64"
            frame[column] = pd.Series(pd.NA, index=frame.index, dtype=dtype)
        return frame
    if len(rebuilt := table_of(all_events(folder))):
        return rebuilt
    if is_study(folder):
        raise UserError(f"{folder}: a study whose ledger.jsonl, which holds its trials, is gone")
    load_config(folder)  # raises UserError if the folder is neither
    raise UserError(f"{folder}: a run, not a study, so it has no trials")


def _kept_table(path: Path) -> pd.DataFrame | None:
    """The table written by a study's last command; None, with a warning, if it is damaged."""
    if not path.is_file():
        return None
    try:
        return read_table(path, TRIALS)
    except UserError as error:
        warnings.warn(f"{error}; the trials' folders are read instead", stacklevel=3)
        return None


def load_curves(folder: str | Path) -> pd.DataFrame:
    """The curves of a run or of all trials of a study, one row per epoch and metric.

    - `trial`: the number in the trials table, or the folder's name for a single run;
    - `seed`: empty if a trial has one run only;
    - `epoch`: completed epochs, from 1;
    - `metric`: split/quantity, such as `test/top1`, `train/loss`, `time/step`, `gates/open`;
    - `value`: `top1`, `top5` and gates are shares in [0, 1], losses in nats, times in seconds.

    A trial of a study with missing or damaged curves is left out, with a warning.

    Args:
        folder: its path, or its name under `runs/`.

    Raises:
        UserError: neither a run nor a study, or no finished epoch.
    """
    path = find_folder(folder)
    if (path / "curves.parquet").is_file():
        return _curves(path / "curves.parquet", path.name, None)
    if not is_study(path):
        load_config(path)  # raises UserError if the folder is neither
        raise UserError(f"{path}: has not finished an epoch yet; it has no curves.parquet")
    frames = []
    columns = ["trial", "trial_id", "epochs"]
    for trial, trial_id, epochs in load_trials(path)[columns].itertuples(index=False):
        own = [*_curves_of_trial(path / "trials" / str(trial_id), trial)]
        frames += own
        if epochs and not own:
            warnings.warn(
                f"{path}: trial {trial_id} is left out of the curves: it has none that can be "
                "read, though it finished epochs",
                stacklevel=2,
            )
    if not frames:
        raise UserError(f"{path}: no trial has finished an epoch yet")
    return pd.concat(frames, ignore_index=True)


def _curves_of_trial(folder: Path, trial: int) -> Iterator[pd.DataFrame]:
    """The curves of each seed of a trial; unreadable ones are left out with a warning."""
    for path in (folder / "curves.parquet", *sorted(folder.glob("seed-*/curves.parquet"))):
        seed = path.parent.name.removeprefix("seed-") if path.parent != folder else None
        if path.is_file():
            try:
                yield _curves(path, trial, None if seed is None else int(seed))
            except UserError as error:
                warnings.warn(f"left out of the curves: {error}", stacklevel=3)


def _curves(path: Path, trial: int | str, seed: int | None) -> pd.DataFrame:
    frame = read_table(path, CURVES)
    frame.insert(0, "trial", trial)
    frame.insert(1, "seed", pd.Series(seed, index=frame.index, dtype="Int64"))
    return frame


def load_samples(run: str | Path) -> pd.DataFrame:
    """The divisions of a run, one row per training example, division and network.

    - `epoch`: completed epochs when the division was made; the last division has the highest;
    - `network`: the network that judged: 0, or 1 for the second of two;
    - `id`: the example's place in the data set's training order;
    - `label`, `true_label`: the label in training, and before corruption (-1 where unknown);
    - `prediction`: the class with the highest probability;
    - `loss`: cross-entropy of `label` in nats;
    - `p_label`: probability of `label`, the mean over near neighbours, in [0, 1];
    - `rival`, `p_rival`: the other class with the highest such probability, and that one;
    - `p_clean`: probability that `label` is right, in [0, 1], from the mixture;
    - `weight`: from the meta model, in (0, 1), before normalisation; empty without one.

    Args:
        run: its path, or its name under `runs/`.

    Raises:
        UserError: not the folder of a run, or the run has no division yet.
    """
    path = find_folder(run)
    if is_study(path):
        raise UserError(f"{path}: a study; name one of its runs, such as {path}/trials/0000")
    if not (path / "samples.parquet").is_file():
        load_config(path)  # raises UserError if the folder holds no run
        raise UserError(
            f"{path}: has not judged its labels yet; `famus-ray resume "
            f"{shlex.quote(str(path))}` finishes the run"
        )
    return read_samples(path / "samples.parquet")


def summarise(curves: pd.DataFrame, select: str = "validation") -> RunSummary:
    """The results of one run, with accuracies as shares in [0, 1].

    Args:
        curves: `load_curves` of one run; of a study, the rows of one trial and seed.
        select: the split that picks the best epoch, the latest one of ties.
    """
    finite = curves.replace({"value": [math.inf, -math.inf]}, math.nan)
    wide = finite.pivot_table(index="epoch", columns="metric", values="value", dropna=False)
    latest_first = wide[f"{select}/top1"].fillna(-math.inf).iloc[::-1]
    best_epoch = int(str(latest_first.idxmax()))
    test = wide["test/top1"]
    return RunSummary(
        epochs=int(test.index.max()),
        best_epoch=best_epoch,
        best=float(test.loc[best_epoch]),
        last10=float(test.iloc[-10:].mean()),
        seconds_per_step=float(wide["time/step"].mean()),
        selected_on=select,
    )
