"""The tables of a run's folder: their columns, writing and reading.

Every table is one Parquet file, written atomically. Its metadata hold the schema version and the
meaning of each column.
"""

from __future__ import annotations

import json
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import pandas as pd

from famus_ray.errors import UserError, first_line
from famus_ray.files import replaced

if TYPE_CHECKING:
    import pyarrow as pa

__all__ = [
    "CURVES",
    "LABELS",
    "SAMPLES",
    "TRIALS",
    "Table",
    "column_of",
    "of_one_type",
    "read_arrow",
    "read_table",
    "typed",
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
        "metric": (
            "category",
            "",
            "split/quantity, such as validation/top1, time/step, gates/open",
        ),
        "value": (
            "float64",
            "",
            "top1, top5 and gates are shares in [0, 1], losses are in nats, times in seconds",
        ),
    },
)
LABELS = Table(
    "labels",
    2,  # version 1 had no `file`
    {
        "id": ("int64", "", "the example's place in the data set's training order"),
        "split": ("category", "", "train, meta or validation"),
        "label": ("int64", "", "the label that training sees"),
        "true_label": ("int64", "", "the label before corruption, -1 where unknown"),
        "file": ("string", "", "the image's path under data.root; empty for data without files"),
    },
)
SAMPLES = Table(
    "samples",
    3,  # version 2 had no `p_label`, `rival` and `p_rival`, version 1 no `network`
    {
        "epoch": ("int32", "epochs", "completed epochs when the division was made"),
        "network": ("int32", "", "the network that judged: 0, or 1 for the second of two"),
        "id": ("int64", "", "the example's place in the data set's training order"),
        "label": ("int64", "", "the label that training sees"),
        "true_label": ("int64", "", "the label before corruption, -1 where unknown"),
        "prediction": ("int64", "", "the class with the highest probability"),
        "loss": ("float64", "nats", "cross-entropy of the label, in evaluation mode"),
        "p_label": ("float64", "", "probability of the label, the mean over near neighbours"),
        "rival": ("int64", "", "the other class with the highest such probability"),
        "p_rival": ("float64", "", "that probability"),
        "p_clean": ("float64", "", "probability that the label is right, from the mixture"),
        "weight": ("float64", "", "in (0, 1), before normalisation; empty without a meta model"),
    },
)
TRIALS = Table(
    "trials",
    # Version 5 had no `pruned_at`, `pruned_value` and `needed`, 4 no `reason`, 3 no `from_epoch`, 2
    # no `replicates` and no `parent`.
    6,
    {
        "trial": ("int64", "", "number of the trial, from 0, in the order of the suggestions"),
        "trial_id": ("string", "", "name of the trial's folder under trials/"),
        "replicates": ("Int64", "", "the trial whose configuration it trains with another seed"),
        "parent": ("Int64", "", "the trial whose checkpoint it went on from (pbt)"),
        "from_epoch": ("Int64", "epochs", "the epoch of that checkpoint"),
        "state": ("category", "", "running, completed, pruned, failed or interrupted"),
        "value": ("float64", "", "the study's metric at the best epoch, the mean over seeds"),
        "value_std": ("float64", "", "its standard deviation over seeds; empty with one seed"),
        "epochs": ("int64", "epochs", "epochs completed"),
        "seconds": ("float64", "s", "training time, over all attempts"),
        "attempts": ("int64", "", "how often its process began"),
        "started": ("datetime64[us, UTC]", "", "when the trial began"),
        "ended": ("datetime64[us, UTC]", "", "when it ended"),
        "node": ("category", "", "the node it ran on: machine/first digits of its id in Ray"),
        "reason": ("string", "", "why it is not completed, in one line"),
        "pruned_at": ("Int64", "epochs", "the epoch at which the pruner ended it: its rung"),
        "pruned_value": ("float64", "", "its value there"),
        "needed": ("float64", "", "the least value that went on there, at that time"),
        "error": ("string", "", "the traceback of a failed trial, or how a pruned one diverged"),
    },
)

_KEY = b"famus_ray"


def write_table(path: Path, table: Table, frame: pd.DataFrame) -> None:
    """Writes `frame` as `table`, completely or not at all; other columns keep their type."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    about: dict[str, Any] = {
        "table": table.name,
        "schema_version": table.version,
        "columns": {
            name: {"type": dtype, "unit": unit, "meaning": meaning}
            for name, (dtype, unit, meaning) in table.columns.items()
        },
    }
    arrow = pa.Table.from_pandas(of_one_type(typed(frame, table)), preserve_index=False)
    metadata = {**(arrow.schema.metadata or {}), _KEY: json.dumps(about).encode()}
    with replaced(path) as temporary:
        pq.write_table(arrow.replace_schema_metadata(metadata), temporary)


def typed(frame: pd.DataFrame, table: Table) -> pd.DataFrame:
    """The frame with the types of the table; other columns keep theirs."""
    return frame.astype({c: dtype for c, (dtype, _, _) in table.columns.items() if c in frame})


def of_one_type(frame: pd.DataFrame) -> pd.DataFrame:
    """The frame, with columns of mixed types as text: a Parquet column has one type."""
    mixed = [
        name
        for name in frame
        if frame[name].dtype == object and frame[name].dropna().map(type).nunique() > 1
    ]
    return frame.assign(**{str(c): frame[c].map(str, na_action="ignore") for c in mixed})


def column_of(values: Sequence[Any]) -> pd.Series[Any]:
    """The values as a column of their type; None is empty.

    Booleans are `boolean`, whole numbers `Int64`, other numbers `float64`, and words `category`.
    Values of several types stay as they are.
    """
    kinds = {type(value) for value in values if value is not None}
    if kinds == {bool}:
        return pd.Series(values, dtype="boolean")
    if kinds == {int} and all(value is None or abs(value) < 2**63 for value in values):
        return pd.Series(values, dtype="Int64")
    if kinds == {str}:
        return pd.Series(values, dtype="category")
    return pd.Series(values, dtype="float64" if kinds <= {int, float} else "object")


def read_table(path: Path, table: Table, columns: Sequence[str] | None = None) -> pd.DataFrame:
    """The table in `path`, or only its `columns`.

    Raises:
        UserError: a file that is missing, damaged, another table, or of a newer version.
    """
    return typed(read_arrow(path, table, columns).to_pandas(), table)


def read_arrow(path: Path, table: Table, columns: Sequence[str] | None = None) -> pa.Table:
    """`read_table` as a table of Arrow's, with words of a `category` as a dictionary."""
    import pyarrow as pa
    import pyarrow.parquet as pq

    words = [name for name, (dtype, _, _) in table.columns.items() if dtype == "category"]
    try:
        # Read in one go: a running writer may replace the file between two reads.
        buffer = pa.BufferReader(path.read_bytes())
        metadata = pq.read_metadata(buffer)
        words = [name for name in words if name in metadata.schema.names]
        file = pq.ParquetFile(buffer, metadata=metadata, read_dictionary=words)
        arrow = file.read(columns)
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: no such file; is {path.parent} a run's folder, and finished?"
        ) from error
    except (pa.ArrowException, OSError) as error:
        raise UserError(f"{path}: not a readable Parquet file ({first_line(error)})") from error
    about = json.loads((arrow.schema.metadata or {}).get(_KEY, b"{}"))
    if about.get("table") != table.name:
        raise UserError(f"{path}: not a famus_ray table of {table.name}")
    if about["schema_version"] > table.version:
        raise UserError(
            f"{path}: schema version {about['schema_version']}, this famus_ray knows "
            f"{table.version}; install a newer one"
        )
    return arrow
