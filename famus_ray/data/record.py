"""A run's record of its data, counts and fingerprints, to detect changes when it is resumed."""

from __future__ import annotations

import hashlib
from collections.abc import Iterator, Mapping
from typing import Any

import numpy as np
import pandas as pd
import pyarrow as pa
from torch import Tensor

from famus_ray.data.catalog import Dataset, Split
from famus_ray.data.images import Paths

__all__ = ["changes", "labels_of", "record"]

_COUNTS = ("classes", "train", "meta", "validation", "test")
_IN_WORDS = {"classes": "classes", "train": "training images", "meta": "meta images",
             "validation": "validation images", "test": "test images"}  # fmt: skip


def record(data: Dataset) -> dict[str, Any]:
    """The data's name, counts and fingerprints, for `manifest.json`."""
    known = data.train.true_labels >= 0
    wrong = (data.train.labels != data.train.true_labels) & known
    corrupted = (wrong.sum() / known.sum()).item() if known.any() else None
    return {
        "name": data.name,
        "fingerprint": data.fingerprint,
        **_counts(data),
        "left_out": dict(data.left_out),
        "labels_changed": None if corrupted is None else round(corrupted, 4),
        **({"class_names": list(data.class_names)} if data.class_names else {}),
        "contents": dict(_contents(data)),
    }


def changes(then: Mapping[str, Any], labels: pd.DataFrame | None, data: Dataset) -> list[str]:
    """Descriptions of the changes of a run's data since its start; empty without changes.

    Args:
        then: the `record` at the start; older versions recorded a fingerprint only.
        labels: the labels at the start (`tables.LABELS`); None if they are unknown.
        data: the data now.
    """
    now = _counts(data)
    found = [
        f"{now[name]:,} {_IN_WORDS[name]}, {then[name]:,} then"
        for name in _COUNTS
        if name in then and then[name] != now[name]
    ]
    odd = _other_contents(then, data)
    if not found and not odd:
        return []
    if labels is not None and not found and (other := _other_labels(labels, data)):
        found.append(other)
    return found or [f"other {name}" for name in odd]


def _other_contents(then: Mapping[str, Any], data: Dataset) -> list[str]:
    if "contents" not in then:
        return ["images or labels"] if then["fingerprint"] != data.fingerprint else []
    before, now = then["contents"], dict(_contents(data))
    return [name for name in {**before, **now} if before.get(name) != now.get(name)]


def labels_of(data: Dataset) -> pd.DataFrame:
    """A table `tables.LABELS`: one row per example of train, meta and validation."""
    splits = {"train": data.train, "meta": data.meta, "validation": data.validation}
    frames = [
        pd.DataFrame(
            {
                "id": split.ids.cpu().numpy(),
                "split": name,
                "label": split.labels.cpu().numpy(),
                "true_label": split.true_labels.cpu().numpy(),
                "file": _names(data, name, split),
            }
        )
        for name, split in splits.items()
    ]
    return pd.concat(frames, ignore_index=True)


def _names(data: Dataset, split: str, examples: Split) -> Any:
    """The names of the examples' files under `data.root`; None for data without files."""
    files = data.files.get(split, data.files.get("train"))
    if files is None:
        return [None] * len(examples)
    return files.names.take(pa.array(examples.ids.cpu().numpy())).to_pandas().to_numpy()


def _counts(data: Dataset) -> dict[str, int]:
    return {
        name: data.classes if name == "classes" else len(getattr(data, name)) for name in _COUNTS
    }


def _other_labels(then: pd.DataFrame, data: Dataset) -> str:
    """A description of the examples with another label or in another split."""
    both = then.merge(labels_of(data), on="id", suffixes=("", "_now"))
    moved = int((both["split"] != both["split_now"]).sum())
    other = both[both["label"] != both["label_now"]]
    ids = ", ".join(map(str, other["id"].head(3))) + (", ..." if len(other) > 3 else "")
    told = [f"{len(other):,} labels are others (id {ids})"] if len(other) else []
    told += [f"{moved:,} examples would be in another split"] if moved else []
    return ", ".join(told)


def _contents(data: Dataset) -> Iterator[tuple[str, str]]:
    """Pairs of a description and a fingerprint, for each part of the data."""
    splits = {"training": data.train, "meta": data.meta, "validation": data.validation,
              "test": data.test, **data.more_tests}  # fmt: skip
    for name, split in splits.items():
        yield f"{name} labels", _digest(split.ids, split.labels, split.true_labels)
        if not data.files and isinstance(split.pixels, Tensor):
            yield f"{name} images", _digest(split.pixels)
    for name, files in data.files.items():
        yield f"{name} files", _digest_of_files(files)


def _digest(*tensors: Tensor) -> str:
    digest = hashlib.sha256()
    for tensor in tensors:
        array = np.ascontiguousarray(tensor.cpu().numpy())
        digest.update(f"{array.dtype}{array.shape}".encode())
        digest.update(array.data)
    return digest.hexdigest()


def _digest_of_files(files: Paths) -> str:
    """A fingerprint of the files' names. Their content may change: a run can be resumed after a
    damaged image was replaced."""
    names = "\n".join(files.names.to_pylist()).encode("utf-8", "surrogatepass")
    return hashlib.sha256(names).hexdigest()
