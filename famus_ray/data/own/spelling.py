"""Class names that a person reads as one: `Cat`, `cat` and `cat` with a blank behind it."""

# Shapes: N images.
from __future__ import annotations

import unicodedata

import pandas as pd

from famus_ray.findings import Finding

__all__ = ["joined", "spelling_finding"]

_SHOWN = 5


def joined(labels: pd.Series[str]) -> pd.Series[str]:
    """The labels (N,), those that differ only in case, blanks or Unicode form made the same.

    Of such names the most common takes the place of all, without blanks around it and in Unicode's
    composed form (NFC); the first in sorted order of equally common ones. Missing labels stay.
    Join the labels of all splits in one call, so that the splits agree.
    """
    counts = labels.value_counts()
    clean = {name: unicodedata.normalize("NFC", name.strip()) for name in counts.index}
    of_clean = counts.groupby(pd.Series(clean)).sum()
    best: dict[str, str] = {}
    for name in sorted(of_clean.index, key=lambda name: (-of_clean[name], name)):
        best.setdefault(_key(name), name)
    return labels.map({name: best[_key(name)] for name in counts.index})


def spelling_finding(labels: pd.Series[str], origin: str) -> Finding | None:
    """A note on the class names that `joined` would change, with counts; None if there are none.

    Args:
        labels: the labels (N,) of all splits.
        origin: the table or folder, for the note.
    """
    counts = labels.value_counts()
    alike: dict[str, list[str]] = {}
    for name in sorted(counts.index):
        alike.setdefault(_key(name), []).append(name)
    odd = [names for names in alike.values() if len(names) > 1 or names[0] != names[0].strip()]
    if not odd:
        return None
    shown = "; ".join(
        " and ".join(f"{name!a} ({counts[name]:,})" for name in names) for names in odd[:_SHOWN]
    )
    more = f" and {len(odd) - _SHOWN} more" if len(odd) > _SHOWN else ""
    what = "class names differ only in case, blanks around them or Unicode form, or have blanks"
    return Finding(
        "note",
        f"{origin}: {what}: {shown}{more}",
        "data.join_labels=true joins them under the most common spelling",
    )


def _key(name: str) -> str:
    folded = unicodedata.normalize("NFC", name.strip()).casefold()
    return unicodedata.normalize("NFC", folded)
