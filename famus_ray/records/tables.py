"""The tables of a run's folder: their columns, writing and reading.

Every table is one Parquet file, written atomically. Its metadata hold the schema version and the
meaning of each column.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from famus_ray.errors import UserError
from famus_ray.files import replaced

__all__ = [
    "CURVES",
    "LABELS",
    "SAMPLES",
    "TRIALS",
    "Table",
    "of_one_type",
    "read_table",
    "write_table",
]


@dataclass(frozen=True)
class Table:
    """A table's name, schema version and columns: (dtype, unit, meaning) by name."""

    name: str
    version: int
    columns: Mapping[str, tuple[str, str, str]]


CURVES = Table(
    "curves",
    1,
    {
        "epoch": ("int32", "epochs", "completed epochs, from 1"),
        "metric": ("string", "", "split/quantity, such as validation/top1"),
        "value": ("float64", "", "top1 and top5 are shares in [0, 1], losses are in nats"),
    },
)
LABELS = Table(
    "labels",
    2,  # version 1 had no `file`
    {
        "id": ("int64", "", "the example's place in the data set's training order"),
        "split": ("string", "", "train, meta or validation"),
        "label": ("int64", "", "the label that training sees"),
        "true_label": ("int64", "", "the label before corruption, -1 where unknown"),
        "file": ("string", "", "the image's path under data.root; empty for data without files"),
    },
)
SAMPLES = Table(
    "samples",
    2,  # version 1 had no column `network`
    {
        "epoch": ("int32", "epochs", "completed epochs when the division was made"),
        "network": ("int32", "", "the network that judged: 0, or 1 for the second of two"),
        "id": ("int64", "", "the example's place in the data set's training order"),
        "label": ("int64", "", "the label that training sees"),
        "true_label": ("int64", "", "the label before corruption, -1 where unknown"),
        "prediction": ("int64", "", "the class with the highest probability"),
        "loss": ("float64", "nats", "cross-entropy of the label, in evaluation mode"),
        "p_clean": ("float64", "", "probability that the label is right, from the mixture"),
        "weight": ("float64", "", "in (0, 1), before normalisation; empty without a meta model"),
    },
)
TRIALS = Table(
    "trials",
    5,  # version 4 had no `reason`, 3 no `from_epoch`, 2 no `replicates` and no `parent`
    {
        "trial": ("int64", "", "number of the trial, from 0, in the order of the suggestions"),
        "trial_id": ("string", "", "name of the trial's folder under trials/"),
        "replicates": ("Int64", "", "the trial whose configuration it trains with another seed"),
        "parent": ("Int64", "", "the trial whose checkpoint it went on from (pbt)"),
        "from_epoch": ("Int64", "epochs", "the epoch of that checkpoint"),
        "state": ("string", "", "running, completed, pruned, failed or interrupted"),
        "value": ("float64", "", "the study's metric at the best epoch, the mean over seeds"),
        "value_std": ("float64", "", "its standard deviation over seeds; empty with one seed"),
        "epochs": ("int64", "epochs", "epochs completed"),
        "seconds": ("float64", "s", "training time, over all attempts"),
        "attempts": ("int64", "", "how often its process began"),
        "started": ("datetime64[us, UTC]", "", "when the trial began"),
        "ended": ("datetime64[us, UTC]", "", "when it ended"),
        "node": ("string", "", "the node it ran on: machine/first digits of its id in Ray"),
        "reason": ("string", "", "why it was pruned: its value, the rung, and what it needed"),
        "error": ("string", "", "why a trial failed, or how a pruned one diverged"),
    },
)

_KEY = b"famus_ray"


def write_table(path: Path, table: Table, frame: pd.DataFrame) -> None:
    """Writes `frame` as `table`, completely or not at all; other columns keep their type."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    typed = frame.astype({name: dtype for name, (dtype, _, _) in table.columns.items()})
    about: dict[str, Any] = {
        "table": table.name,
        "schema_version": table.version,
        "columns": {
            name: {"type": dtype, "unit": unit, "meaning": meaning}
            for name, (dtype, unit, meaning) in table.columns.items()
        },
    }
    arrow = pa.Table.from_pandas(of_one_type(typed), preserve_index=False)
    metadata = {**(arrow.schema.metadata or {}), _KEY: json.dumps(about).encode()}
    with replaced(path) as temporary:
        pq.write_table(arrow.replace_schema_metadata(metadata), temporary)


def of_one_type(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame, with columns of mixed types as text: a Parquet column has one type."""
    mixed = [
        name
        for name in frame
        if frame[name].dtype == object and frame[name].dropna().map(type).nunique() > 1
    ]
    return frame.assign(**{str(c): frame[c].map(str, na_action="ignore") for c in mixed})


def read_table(path: Path, table: Table, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The table in `path`, or only its `columns`.

    Raises:
        UserError: a file that is missing, damaged, another table, or of a newer version.
    """
    import pyarrow as pa
    import pyarrow.parquet as pq

    try:
        # Read in one go: a running writer may replace the file between two reads.
        arrow = pq.read_table(pa.BufferReader(path.read_bytes()), columns=columns)
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: no such file; is {path.parent} a run's folder, and finished?"
        ) from error
    except (pa.ArrowInvalid, OSError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({error})") from error
    about = json.loads((arrow.schema.metadata or {}).get(_KEY, b"{}"))
    if about.get("table") != table.name:
        raise UserError(f"{path}: not a famus_ray table of {table.name}")
    if about["schema_version"] > table.version:
        raise UserError(
            f"{path}: schema version {about['schema_version']}, this famus_ray knows "
            f"{table.version}; install a newer one"
        )
    frame: pd.DataFrame = arrow.to_pandas()
    return frame
