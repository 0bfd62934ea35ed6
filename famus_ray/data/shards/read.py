"""A data set from its shards: labels in memory, images read when they are asked for."""

# Shapes: N images of a split.
from __future__ import annotations

from concurrent.futures import ThreadPoolExecutor
from dataclasses import replace
from pathlib import Path

import numpy as np
import pyarrow as pa

from famus_ray.data.images import Images, Paths, Source
from famus_ray.data.shards.manifest import (
    MANIFEST,
    Manifest,
    ShardOfSplit,
    SplitOfShards,
    read_manifest,
)
from famus_ray.data.shards.ranges import Ranges
from famus_ray.data.shards.shard_file import ShardRows, read_shard
from famus_ray.errors import UserError
from famus_ray.store import inside, opened

__all__ = ["manifest_of", "read_shards"]

_AT_ONCE = 16  # files whose footers are read at the same time


def manifest_of(root: str) -> Manifest:
    """The manifest of a folder or URL.

    Raises:
        UserError: there is none, or it is damaged.
    """
    path = inside(root, MANIFEST)
    try:
        with opened(path) as file:
            text = file.read().decode()
    except FileNotFoundError as error:
        raise UserError(
            f"{path}: is not there, so these are no shards, or they are not complete; "
            "`famus-ray data prepare` goes on with those that it began"
        ) from error
    return read_manifest(text, path)


def read_shards(root: str) -> Source:
    """The data set in a folder of shards, with its own splits.

    Args:
        root: a folder or URL; images are read where they are.

    Raises:
        UserError: no manifest, or a file that is missing, damaged or of another size.
    """
    manifest = manifest_of(root)
    parts = {name: _images(root, manifest, split) for name, split in manifest.splits.items()}
    known = {name: parts.pop(name, None) for name in ("train", "test", "validation", "meta")}
    train, test = known["train"], known["test"]
    if train is None or test is None:
        raise UserError(f"{inside(root, MANIFEST)}: names no split train or test")
    return Source(train, test, known["validation"], known["meta"], parts)


def _images(root: str, manifest: Manifest, split: SplitOfShards) -> Images:
    with ThreadPoolExecutor(_AT_ONCE) as pool:
        rows = list(pool.map(lambda file: _rows(root, file), split.files))
    columns = {
        name: np.concatenate([part.columns[name] for part in rows])
        for name in ("id", "label", "true_label", "checked", "size")
    }
    names = pa.chunked_array([part.columns["path"] for part in rows]).combine_chunks()
    counts = [len(part.start) for part in rows]
    ranges = Ranges(
        tuple(inside(root, file.name) for file in split.files),
        np.repeat(np.arange(len(rows), dtype=np.int32), counts),
        np.concatenate([part.start for part in rows]),
        columns["size"],
    )
    of_class = manifest.superclass_of
    images = Images(
        Paths(Path(root), names, ranges),
        columns["label"].astype(np.int64),
        manifest.classes,
        manifest.mean,
        manifest.std,
        None if of_class is None else np.array(of_class, np.int64),
        class_names=manifest.class_names,
    )
    truth = columns["true_label"].astype(np.int64) if split.truth else None
    checked = columns["checked"] if split.checked else None
    places = columns["id"] if split.skipped else None
    return replace(images, true_labels=truth, checked=checked, places=places)


def _rows(root: str, file: ShardOfSplit) -> ShardRows:
    path = inside(root, file.name)
    try:
        with opened(path) as content:
            if (found := content.size()) != file.bytes:
                said = f"{MANIFEST} says {file.bytes:,}"
                raise UserError(f"{path}: has {found:,} bytes, and {said}; copy it again")
            return read_shard(content)
    except FileNotFoundError as error:
        raise UserError(f"{path}: is missing; copy it again") from error
    except (ValueError, RuntimeError) as error:
        raise UserError(f"{path}: is no shard, or damaged ({error}); copy it again") from error
