"""What a user should know of their own images: counts, classes, and images that are twice there."""

from __future__ import annotations

import hashlib
from collections import defaultdict
from collections.abc import Iterator
from pathlib import Path

import pandas as pd

from famus_ray.config.schema import DataConfig
from famus_ray.data.own.layout import own_layout
from famus_ray.data.own.listing import Listing, OwnData
from famus_ray.data.own.spelling import spelling_finding
from famus_ray.findings import Finding

__all__ = ["findings_on", "told"]


def told(own: OwnData | None, data: DataConfig) -> Iterator[str]:
    """Lines on the user's data, as `layout.list_own` found them, before training."""
    if own is None:
        yield f"{data.root}: {own_layout(Path(str(data.root)))}"
        return
    images = sum(map(len, own.splits.values()))
    parts = ", ".join(f"{len(part):,} {split}" for split, part in own.splits.items())
    yield f"{data.root}: {own.layout}, {images:,} images ({parts})"
    if "test" not in own.splits:
        yield (
            f"no test set there: data.test_fraction={data.test_fraction:g} of each class is held "
            "out for it, with the labels as they are"
        )
    for finding in own.findings:
        yield finding.what + (f"; {finding.mend}" if finding.mend else "")


def findings_on(own: OwnData) -> Iterator[Finding]:
    """Findings on listings: what was left out, the classes, and images that are there twice."""
    yield Finding("ok", f"{own.layout}: {', '.join(_counted(own))}")
    yield from own.findings
    counts = own.splits["train"].labels.value_counts().sort_index()
    shown = ", ".join(f"{name} {count:,}" for name, count in counts.head(20).items())
    more = f" and {len(counts) - 20} more" if len(counts) > 20 else ""
    yield Finding("ok", f"classes of train: {shown}{more}")
    if own.layout != "tables":
        every = pd.concat([part.labels for part in own.splits.values()])
        if (spelling := spelling_finding(every, own.splits["train"].origin)) is not None:
            yield spelling
    yield from _copies(own)


def _counted(own: OwnData) -> Iterator[str]:
    for split, part in own.splits.items():
        yield f"{len(part):,} images of {split}"
    if "test" not in own.splits:
        yield "no test set (data.test_fraction splits one off)"


def _copies(own: OwnData) -> Iterator[Finding]:
    """Images whose files are equal: in two splits, in two classes, or twice in a class."""
    by_content: defaultdict[str, list[tuple[str, str, str]]] = defaultdict(list)
    for split, part in own.splits.items():
        for content, place in _contents(part):
            name = str(part.files.names[place].as_py())
            by_content[content].append((split, str(part.labels.iloc[place]), name))
    kinds: defaultdict[str, list[list[tuple[str, str, str]]]] = defaultdict(list)
    for copies in by_content.values():
        if len(copies) > 1:
            splits, labels = {copy[0] for copy in copies}, {copy[1] for copy in copies}
            where = "in two classes" if len(labels) > 1 else "twice in a class"
            kinds["in two splits" if len(splits) > 1 else where].append(copies)
    for where, groups in kinds.items():
        example = " and ".join(name for _, _, name in groups[0][:2])
        yield Finding("note", f"{len(groups):,} images are there {where}, such as {example}")


def _contents(part: Listing) -> Iterator[tuple[str, int]]:
    """Pairs of a digest and a place, of the images that can be read."""
    for place in range(len(part)):
        encoded = part.files.encoded(place)
        try:
            content = encoded.read_bytes() if isinstance(encoded, Path) else encoded
        except OSError:
            continue
        if content:
            yield hashlib.blake2b(content, digest_size=16).hexdigest(), place
