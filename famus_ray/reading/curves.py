"""The curves of many runs in one frame, put together in Arrow: thousands of small files."""

from __future__ import annotations

from collections.abc import Sequence
from typing import TYPE_CHECKING, NamedTuple

import numpy as np
import pandas as pd

from famus_ray.records.tables import CURVES, typed

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = ["Piece", "joined"]


class Piece(NamedTuple):
    """The curves of one run: its trial's number or its name, its seed, and the table."""

    trial: int | str
    seed: int | None
    table: pa.Table


def joined(pieces: Sequence[Piece]) -> pd.DataFrame:
    """The curves of all pieces: `trial`, `seed`, `epoch`, `metric`, `value`."""
    import pyarrow as pa

    whole = pa.concat_tables([piece.table.select([*CURVES.columns]) for piece in pieces])
    frame = typed(whole.unify_dictionaries().to_pandas(split_blocks=True), CURVES)
    lengths = [len(piece.table) for piece in pieces]
    trials = np.repeat(np.array([piece.trial for piece in pieces]), lengths)
    no_seed = np.array([piece.seed is None for piece in pieces])
    seeds = np.array([piece.seed or 0 for piece in pieces], dtype=np.int64)
    whole_seeds = pd.arrays.IntegerArray(np.repeat(seeds, lengths), np.repeat(no_seed, lengths))
    named = trials.dtype.kind == "U"
    frame.insert(0, "trial", pd.Series(trials, dtype="category" if named else "int64"))
    frame.insert(1, "seed", pd.Series(whole_seeds))
    return frame
