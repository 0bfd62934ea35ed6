"""Examples held out of the training set, class by class: for validation and the meta set."""

# Shapes: N examples.
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from famus_ray.data.images import Images
from famus_ray.errors import UserError

__all__ = ["at_most", "hold_out"]

Indices = NDArray[np.int64]


def hold_out(
    train: Images, kept: Indices, fraction: float, per_class: int, name: str,
    rng: np.random.Generator,
) -> tuple[Indices, Indices, Indices]:  # fmt: skip
    """Sorted indices for validation, the meta set and training, all of them from `kept`.

    Args:
        train: the training images.
        kept: sorted indices (N,) of those that can be used.
        fraction: share of each class for validation.
        per_class: examples of each class in the meta set; where a person has checked labels, up
            to as many of the checked ones.
        name: of the data set, for messages.
        rng: of the choice.

    Raises:
        UserError: a class with too few examples.
    """
    validation, meta, rest = [], [], []
    for label, places in enumerate(_by_class(train.labels[kept], train.classes)):
        members = kept[rng.permutation(places)]
        held_out = round(fraction * len(members))
        chosen = members[held_out:]
        if train.checked is not None:
            chosen = chosen[train.checked[chosen]]
        chosen = chosen[:per_class]
        wanted = per_class if train.checked is None else len(chosen)
        used = held_out + wanted
        if used and used >= len(members):
            raise UserError(
                f"data.meta_per_class = {per_class}: class {label} of {name} has "
                f"{len(members)} training examples, {held_out} of them for validation"
            )
        validation.append(members[:held_out])
        meta.append(chosen)
        rest.append(np.setdiff1d(members[held_out:], chosen))
    v, m, r = (np.sort(np.concatenate(part)) for part in (validation, meta, rest))
    return v, m, r


def at_most(images: Images, kept: Indices, per_class: int, rng: np.random.Generator) -> Indices:
    """Sorted indices of up to `per_class` examples of each class, drawn at random from `kept`."""
    by_class = map(rng.permutation, _by_class(images.labels[kept], images.classes))
    chosen = np.concatenate([members[:per_class] for members in by_class])
    sorted_indices: Indices = np.sort(kept[chosen])
    return sorted_indices


def _by_class(labels: Indices, classes: int) -> list[Indices]:
    """The sorted indices of each class's examples."""
    ends = np.cumsum(np.bincount(labels, minlength=classes))
    return np.split(np.argsort(labels, kind="stable"), ends[:-1])
