"""The list of labels in the user's terms: files and names of classes, to be corrected by hand."""

from __future__ import annotations

from pathlib import Path
from typing import Any

import pandas as pd

from famus_ray.records.folders import load_manifest
from famus_ray.records.tables import LABELS, read_table

__all__ = ["to_correct", "with_names"]


def with_names(run: Path, ranked: pd.DataFrame) -> pd.DataFrame:
    """A ranking with columns `file`, `given_name` and `predicted_name`, where the run has them.

    Args:
        run: the run's folder.
        ranked: rows of `labels.rank_labels`.
    """
    if not (run / "labels.parquet").is_file() or not (run / "manifest.json").is_file():
        return ranked
    labels = read_table(run / "labels.parquet", LABELS)
    if "file" in labels and labels["file"].notna().any():
        of_train = labels[labels["split"] == "train"].set_index("id")["file"]
        ranked = ranked.assign(file=of_train.reindex(ranked["id"]).to_numpy())
    if names := load_manifest(run)["data"].get("class_names"):
        of_class = dict(enumerate(names))
        ranked = ranked.assign(
            given_name=ranked["given_label"].map(of_class),
            predicted_name=ranked["predicted_label"].map(of_class),
        )
    return ranked


def to_correct(ranked: pd.DataFrame) -> pd.DataFrame:
    """The list as a table to correct in a spreadsheet, for `famus-ray train ... labels=FILE`.

    Its first columns are `file`, `label` (to be corrected), `suggestion` and `checked` (empty: a
    mark there says that the label was looked at). Rankings without names of files and classes are
    returned as they are.
    """
    if not {"file", "given_name"} <= set(ranked):
        return ranked
    others = ranked.drop(columns=["file", "given_name", "predicted_name"])
    first: dict[str, Any] = {
        "file": ranked["file"],
        "label": ranked["given_name"],
        "suggestion": ranked["predicted_name"],
        "checked": "",
    }
    return others.assign(**first)[[*first, *others]]
