"""Label noise of the kinds used in the literature.

It is drawn with NumPy from a seed, so it does not depend on the machine or the number of workers.
"""

# Shapes: N examples, C classes.
from __future__ import annotations

from collections.abc import Callable

import numpy as np
from numpy.typing import NDArray

from famus_ray.config.schema import NoiseConfig
from famus_ray.data.instance_noise import instance_labels
from famus_ray.errors import UserError

__all__ = ["ASYMMETRIC", "corrupt"]

Labels = NDArray[np.int64]

# Class flips of asymmetric noise: CIFAR-10 truck->automobile, bird->airplane, deer->horse,
# cat<->dog (Patrini et al. 2017); digits of similar shape.
ASYMMETRIC: dict[str, dict[int, int]] = {
    "cifar10": {9: 1, 2: 0, 4: 7, 3: 5, 5: 3},
    "digits": {7: 1, 2: 7, 5: 6, 6: 5, 3: 8},
}


def corrupt(
    labels_N: Labels,
    classes: int,
    noise: NoiseConfig,
    seed: int,
    data: str,
    superclass_of: Labels | None = None,
    inputs: Callable[[], NDArray[np.float32]] = lambda: np.empty((0, 0), np.float32),
) -> Labels:
    """Labels (N,) after corruption; `labels_N` is not modified.

    Args:
        labels_N: true labels, in [0, classes).
        classes: C.
        noise: kind and rate.
        seed: of the random numbers.
        data: name of the data set, for `asymmetric`.
        superclass_of: (C,) superclass of each class; with it `asymmetric` flips a class to the
            next one of the same superclass, cyclically (CIFAR-100).
        inputs: function that returns the normalised images (N, S), for `instance`.

    Raises:
        UserError: `asymmetric` noise is not defined for this data set.
    """
    rng = np.random.default_rng([seed, 0x6E6F6973])
    noisy_N = labels_N.copy()
    if noise.kind == "none" or noise.rate == 0:
        return noisy_N
    if noise.kind == "instance":
        return instance_labels(labels_N, inputs(), classes, noise.rate, rng)
    if noise.kind == "symmetric_per_sample":
        chosen = np.flatnonzero(rng.random(len(labels_N)) < noise.rate)
    else:
        chosen = rng.permutation(len(labels_N))[: int(noise.rate * len(labels_N))]
    if noise.kind == "asymmetric":
        noisy_N[chosen] = _similar_class(classes, data, superclass_of)[labels_N[chosen]]
    elif noise.kind == "symmetric_excl":
        offset = rng.integers(1, classes, size=len(chosen))
        noisy_N[chosen] = (labels_N[chosen] + offset) % classes
    else:
        noisy_N[chosen] = rng.integers(0, classes, size=len(chosen))
    return noisy_N


def _similar_class(classes: int, data: str, superclass_of: Labels | None) -> Labels:
    target = np.arange(classes)
    if superclass_of is not None:
        for group in np.unique(superclass_of):
            members = np.flatnonzero(superclass_of == group)
            target[members] = np.roll(members, -1)
        return target
    if data not in ASYMMETRIC:
        raise UserError(
            f"noise.kind = asymmetric: not defined for {data}; "
            f"it is for {', '.join(ASYMMETRIC)} and cifar100"
        )
    for source, goal in ASYMMETRIC[data].items():
        target[source] = goal
    return target
