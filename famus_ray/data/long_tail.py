"""Long-tailed subsets of training sets (Cui et al. 2019, Cao et al. 2019)."""

# Shapes: N examples, C classes.
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["long_tail", "tail_sizes"]


def tail_sizes(largest: int, classes: int, imbalance: float) -> NDArray[np.int64]:
    """The class sizes (C,): int(largest * imbalance^(-c / (C-1))) for class c.

    Args:
        largest: size of the first class.
        classes: C.
        imbalance: ratio of the largest to the smallest class, at least 1.
    """
    exponents_C = -np.arange(classes) / max(classes - 1, 1)
    # 1e-9: rounding errors would turn 5000 / 100 into 49.
    return np.floor(largest * float(imbalance) ** exponents_C + 1e-9).astype(np.int64)


def long_tail(
    labels_N: NDArray[np.int64], classes: int, imbalance: float, seed: int
) -> NDArray[np.int64]:
    """The sorted indices into `labels_N` of the examples that are kept, at least one per class.

    Args:
        labels_N: classes of all examples.
        classes: C.
        imbalance: as in `tail_sizes`.
        seed: of the choice.
    """
    if imbalance == 1:
        return np.arange(len(labels_N))
    counts_C = np.bincount(labels_N, minlength=classes)
    sizes_C = np.maximum(tail_sizes(int(counts_C.max()), classes, imbalance), 1)
    rng = np.random.default_rng([seed, 0x7461696C])
    order = rng.permutation(len(labels_N))
    by_class = order[np.argsort(labels_N[order], kind="stable")]
    place_in_class = np.arange(len(labels_N)) - np.repeat(np.cumsum(counts_C) - counts_C, counts_C)
    return np.sort(by_class[place_in_class < np.repeat(sizes_C, counts_C)])
