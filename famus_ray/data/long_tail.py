"""Long-tailed training sets, cut out of balanced ones (Cui et al. 2019, Cao et al. 2019)."""

# Shapes: N examples, C classes.
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

__all__ = ["long_tail", "tail_sizes"]


def tail_sizes(largest: int, classes: int, imbalance: float) -> NDArray[np.int64]:
    """Examples of each class (C,): int(largest * imbalance^(-c / (C-1))) for class c."""
    exponents_C = -np.arange(classes) / max(classes - 1, 1)
    # 1e-9: 5000 / 100 is 50, not the 49 that rounding errors make of it.
    return np.floor(largest * float(imbalance) ** exponents_C + 1e-9).astype(np.int64)


def long_tail(
    labels_N: NDArray[np.int64], classes: int, imbalance: float, seed: int
) -> NDArray[np.int64]:
    """Which examples stay, ascending indices into `labels_N`; each class keeps at least one."""
    if imbalance == 1:
        return np.arange(len(labels_N))
    counts_C = np.bincount(labels_N, minlength=classes)
    sizes_C = np.maximum(tail_sizes(int(counts_C.max()), classes, imbalance), 1)
    rng = np.random.default_rng([seed, 0x7461696C])
    order = rng.permutation(len(labels_N))
    by_class = order[np.argsort(labels_N[order], kind="stable")]
    place_in_class = np.arange(len(labels_N)) - np.repeat(np.cumsum(counts_C) - counts_C, counts_C)
    return np.sort(by_class[place_in_class < np.repeat(sizes_C, counts_C)])
