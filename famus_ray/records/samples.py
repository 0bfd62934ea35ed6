"""The table of judgements of a run, of this version or an earlier one, in today's columns."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from famus_ray.records.tables import SAMPLES, read_table

__all__ = ["read_samples", "with_all_columns"]


def read_samples(path: Path) -> pd.DataFrame:
    """The rows of a `samples.parquet`, with all columns of `tables.SAMPLES`.

    Raises:
        UserError: as for `read_table`.
    """
    return with_all_columns(read_table(path, SAMPLES))


def with_all_columns(samples: pd.DataFrame) -> pd.DataFrame:
    """The samples with the columns that their version did not have yet.

    `network` is then 0, `p_label` the network's own probability exp(-loss), and the `rival` the
    prediction where that is another class, with the rest of the probability; else -1, with none.
    """
    new = {}
    if "network" not in samples:
        new["network"] = pd.Series(0, index=samples.index)
    if "p_label" not in samples:
        p_label = np.exp(-samples["loss"])
        differs = samples["prediction"] != samples["label"]
        new["p_label"] = p_label
        new["rival"] = samples["prediction"].where(differs, -1)
        new["p_rival"] = (1 - p_label).where(differs, 0.0)
    order = [name for name in SAMPLES.columns if name in samples or name in new]
    return samples.assign(**new)[order] if new else samples
