"""A run or study read from its folder: each file once, when it is first asked for."""

from __future__ import annotations

import shlex
import warnings
from collections.abc import Iterator, Mapping
from functools import cached_property
from pathlib import Path
from typing import Any

import pandas as pd

from famus_ray.errors import UserError
from famus_ray.reading.curves import Piece, joined
from famus_ray.reading.trials import BestTrial, best_of
from famus_ray.records.folders import find_folder, is_study, load_config, load_manifest
from famus_ray.records.ledger import PARAMETER, is_held, table_of
from famus_ray.records.rebuilt import all_events
from famus_ray.records.samples import read_samples
from famus_ray.records.tables import CURVES, TRIALS, column_of, read_arrow, read_table, typed
from famus_ray.spaces.ranges import Range
from famus_ray.spaces.space_file import read_ranges

__all__ = ["Loaded", "load"]


class Loaded:
    """What is in the folder of a run or study; each property reads its file at first use.

    The frames are those of `load_trials`, `load_curves` and `load_samples`, which say what is in
    them and what they raise.

    Attributes:
        path: the folder.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    @property
    def name(self) -> str:
        """The folder's name."""
        return self.path.name

    @cached_property
    def is_study(self) -> bool:
        """Whether it is a study, not a run."""
        return is_study(self.path)

    @cached_property
    def config(self) -> dict[str, Any]:
        """The settings, by section and key."""
        return load_config(self.path)

    @cached_property
    def manifest(self) -> dict[str, Any]:
        """Versions, seeds, hardware and data."""
        return load_manifest(self.path)

    @cached_property
    def ranges(self) -> Mapping[str, Range]:
        """The entries of a study's space as it is now, by setting; empty for a run.

        Raises:
            UserError: a `space.yaml` that is gone or cannot be read.
        """
        return read_ranges(self.path / "space.yaml") if self.is_study else {}

    @cached_property
    def trials(self) -> pd.DataFrame:
        """The trials of a study."""
        ledger = self.path / "ledger.jsonl"
        if ledger.is_file():
            return table_of(all_events(self.path), live=is_held(ledger))
        if (frame := _kept_table(self.path / "trials.parquet")) is not None:
            return frame
        if len(rebuilt := table_of(all_events(self.path))):
            return rebuilt
        if self.is_study:
            raise UserError(
                f"{self.path}: a study whose ledger.jsonl, which holds its trials, is gone"
            )
        self._must_be_one()
        raise UserError(f"{self.path}: a run, not a study, so it has no trials")

    @cached_property
    def best(self) -> BestTrial | None:
        """The best trial of a study; see `best_of`."""
        return best_of(self.trials)

    @cached_property
    def curves(self) -> pd.DataFrame:
        """The curves of a run, or of all trials of a study."""
        pieces = [*self._pieces()]
        if pieces:
            return joined(pieces)
        self._must_be_one()
        if self.is_study:
            raise UserError(f"{self.path}: no trial has finished an epoch yet")
        raise UserError(f"{self.path}: has not finished an epoch yet; it has no curves.parquet")

    @cached_property
    def samples(self) -> pd.DataFrame:
        """The divisions of a run, or of all trials of a study."""
        frames = [*self._samples()]
        if frames:
            return frames[0] if len(frames) == 1 else pd.concat(frames, ignore_index=True)
        self._must_be_one()
        raise UserError(
            f"{self.path}: has not judged its labels yet; `famus-ray resume "
            f"{shlex.quote(str(self.path))}` finishes the run"
        )

    def folders(self) -> Iterator[tuple[int, int | None, Path]]:
        """Trial, seed and folder of each run of a study; the seed is None for the only one."""
        for number, trial_id in self.trials[["trial", "trial_id"]].itertuples(index=False):
            trial = self.path / "trials" / str(trial_id)
            seeds = sorted(trial.glob("seed-*/")) if trial.is_dir() else []
            yield from ((number, int(p.name.removeprefix("seed-")), p) for p in seeds)
            if not seeds:
                yield number, None, trial

    def _pieces(self) -> Iterator[Piece]:
        if (self.path / "curves.parquet").is_file():
            yield Piece(self.name, None, read_arrow(self.path / "curves.parquet", CURVES))
            return
        if not self.is_study:
            return
        read = set()
        for trial, seed, folder in self.folders():
            if (folder / "curves.parquet").is_file():
                try:
                    yield Piece(trial, seed, read_arrow(folder / "curves.parquet", CURVES))
                    read.add(trial)
                except UserError as error:
                    warnings.warn(f"left out of the curves: {error}", stacklevel=4)
        reported = self.trials[self.trials["epochs"] > 0]
        for trial_id in reported.loc[~reported["trial"].isin(read), "trial_id"]:
            warnings.warn(
                f"{self.path}: trial {trial_id} is left out of the curves: it has none that can "
                "be read, though it finished epochs",
                stacklevel=4,
            )

    def _samples(self) -> Iterator[pd.DataFrame]:
        if (self.path / "samples.parquet").is_file():
            yield read_samples(self.path / "samples.parquet")
            return
        for trial, seed, folder in self.folders() if self.is_study else ():
            if (folder / "samples.parquet").is_file():
                try:
                    frame = read_samples(folder / "samples.parquet")
                except UserError as error:
                    warnings.warn(f"left out of the samples: {error}", stacklevel=4)
                    continue
                frame.insert(0, "trial", trial)
                frame.insert(1, "seed", pd.Series(seed, index=frame.index, dtype="Int64"))
                yield frame

    def _must_be_one(self) -> None:
        """Raises UserError if the folder holds neither a run nor a study."""
        if not self.is_study:
            load_config(self.path)


def load(name: str | Path) -> Loaded:
    """The run or study of this name under `runs/`, or in the folder of this path or URL.

    Raises:
        UserError: there is no such folder.
    """
    return Loaded(find_folder(name))


def _kept_table(path: Path) -> pd.DataFrame | None:
    """The table written by a study's last command; None, with a warning, if it is damaged."""
    if not path.is_file():
        return None
    try:
        frame = read_table(path, TRIALS)
    except UserError as error:
        warnings.warn(f"{error}; the trials' folders are read instead", stacklevel=4)
        return None
    own = {c: _whole(frame[c]) for c in frame if str(c).startswith(PARAMETER)}
    missing = {c: None for c in TRIALS.columns if c not in frame}  # in older versions
    whole = frame.assign(**missing, **{str(c): values for c, values in own.items()})
    others = [c for c in whole if c not in TRIALS.columns]
    return typed(whole[[*TRIALS.columns, *others]], TRIALS)


def _whole(values: pd.Series[Any]) -> pd.Series[Any]:
    """The values in their type; older versions widened whole numbers, because of gaps."""
    if values.dtype.kind == "f" and values.dropna().mod(1).eq(0).all() and values.max() > 1:
        return values.astype("Int64")
    return (
        column_of([None if pd.isna(v) else v for v in values]) if values.dtype == object else values
    )
