"""Checks of data sets on disk: missing and damaged files, with advice."""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path

import numpy as np
import pandas as pd

from famus_ray.config.data_settings import OWN_DATA
from famus_ray.config.schema import DataConfig
from famus_ray.data.cnwl import CNWL_LEVELS
from famus_ray.data.damaged import undecodable
from famus_ray.data.images import UNKNOWN, Images, Paths, Source
from famus_ray.data.known import KNOWN
from famus_ray.data.own.findings import findings_on
from famus_ray.data.own.layout import list_own, own_layout
from famus_ray.data.own.sizes import sizes
from famus_ray.data.readers import read_source
from famus_ray.data.shards.findings import findings_on_shards
from famus_ray.errors import UserError
from famus_ray.findings import Finding

__all__ = ["check_data", "recognise"]

_SAMPLE = 500


def recognise(root: Path) -> list[str]:
    """The names of the data sets in the folder `root`.

    Raises:
        UserError: no such folder, or neither a known data set nor images in it.
    """
    if not root.exists():
        raise UserError(f"{root}: no such folder or table")
    found = [
        name for name, known in KNOWN.items() if any(any(root.glob(mark)) for mark in known.marks)
    ]
    if not set(found) - {"folders", "tables"}:
        if own_layout(root) == "folders":
            list_own(root, "folders")
        return ["own"]
    return found


def check_data(name: str, root: Path, *, every: bool = False) -> Iterator[Finding]:
    """Yields findings on a data set in `root`, one after the other.

    Args:
        name: of the data set.
        root: its folder.
        every: decode every image, not a sample of 500 per split.
    """
    known = KNOWN[name]
    absent = [path for path in known.needs if not (root / path).is_file()]
    for path in absent:
        yield Finding("missing", str(root / path), f"get it from {known.source}")
    if absent:
        return
    advice = "" if name in OWN_DATA else f"get it from {known.source}"
    for config in _variants(name, root):
        try:
            if name in OWN_DATA:
                yield from _of_own(root, name)
            if name == "shards":
                yield from findings_on_shards(root, every=every)
            source = read_source(config)
        except UserError as error:
            yield Finding("damaged", str(error), advice)
            continue
        level = config.noise_level if name.startswith("cnwl") else None
        yield from _check_source(source, name, level, every)


def _of_own(root: Path, name: str) -> Iterator[Finding]:
    """Findings on the user's own listing, and on the sizes of its images."""
    if (own := list_own(root, name)) is None:
        return
    yield from findings_on(own)
    seen = sizes(own.splits["train"].files)
    yield Finding("ok", f"images: {seen}, {'grey' if seen.grey else 'colour'}")


def _variants(name: str, root: Path) -> Iterator[DataConfig]:
    """The configs of the data in the folder: for CNWL one for each noise level with a list."""
    config = DataConfig(name=name, root=str(root), image_size=1)
    if not name.startswith("cnwl"):
        yield config
        return
    colour = name.removeprefix("cnwl_")
    for level in CNWL_LEVELS:
        if (root / "split" / f"{colour}_noise_nl_{level:.1f}").is_file():
            yield config.model_copy(update={"noise_level": level})


def _check_source(
    source: Source, name: str, level: float | None, every: bool
) -> Iterator[Finding]:  # fmt: skip
    for split, images in source.splits.items():
        if split != "train" and level not in (None, 0.2):
            continue  # the levels of CNWL share their test images
        title = split if level is None else f"{split} at level {level}"
        yield Finding("ok", f"{title}: {_describe(images)}")
        published = KNOWN[name].images.get(split)
        if published is not None and abs(len(images.labels) - published) > 0.001 * published:
            yield Finding("note", f"{title}: as published it has {published:,} images")
        if isinstance(images.pixels, Paths):
            yield from _check_files(title, images.pixels, every)


def _describe(images: Images) -> str:
    counts = np.bincount(images.labels, minlength=images.classes)
    share = ""
    if images.true_labels is not None:
        known = images.truth != UNKNOWN
        wrong = (images.truth[known] != images.labels[known]).mean() if known.any() else None
        share = ", true labels unknown" if wrong is None else f", {wrong:.1%} of the labels wrong"
    return (
        f"{len(images.labels):,} images, {images.classes} classes of {counts.min():,} to "
        f"{counts.max():,}{share}"
    )


def _check_files(title: str, paths: Paths, every: bool) -> Iterator[Finding]:
    names = pd.Series(paths.names.to_pandas())
    there = np.ones(len(names), dtype=bool)
    if paths.contents is None:
        there = names.isin(_files_beside(paths.root, names)).to_numpy()
    if not there.all():
        first = paths.path(int((~there).argmax()))
        yield Finding(
            "missing",
            f"{title}: {(~there).sum():,} of {len(names):,} image files, such as {first}",
            "unpack the images again, or take their lines out of the list",
        )
    places = np.flatnonzero(there)
    if not every:
        places = np.random.default_rng(0).permutation(places)[:_SAMPLE]
    damaged = undecodable(paths, np.sort(places))
    for place, reason in list(damaged.items())[:20]:
        yield Finding(
            "damaged", f"{paths.path(place)}: {reason}",
            "get it again, take it out of the list, or train with data.damaged=leave_out",
        )  # fmt: skip
    if len(damaged) > 20:
        yield Finding("damaged", f"{title}: and {len(damaged) - 20} more")
    if not every and len(places) < there.sum():
        yield Finding("note", f"{title}: {len(places)} images decoded; --all decodes every one")


def _files_beside(root: Path, names: pd.Series[str]) -> pd.Index[str]:
    """The names of all files in the folders of the named files; lists each folder only once."""
    folders = names.str.rpartition("/")[0].unique()
    found: list[str] = []
    for folder in folders:
        place = root / folder
        if place.is_dir():
            prefix = f"{folder}/" if folder else ""
            found += [prefix + entry.name for entry in place.iterdir()]
    return pd.Index(found)
