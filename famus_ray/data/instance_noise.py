"""Label noise that depends on the image (Xia et al. 2020, algorithm 2)."""

# Shapes: N examples, S values of an image, C classes.
from __future__ import annotations

from typing import TYPE_CHECKING

import numpy as np
from numpy.typing import NDArray
from scipy.special import softmax

if TYPE_CHECKING:
    from scipy.stats.distributions import rv_frozen

__all__ = ["expected_share", "flip_probabilities", "instance_labels"]

_SPREAD = 0.1


def instance_labels(
    labels_N: NDArray[np.int64],
    inputs_NS: NDArray[np.float32],
    classes: int,
    rate: float,
    rng: np.random.Generator,
) -> NDArray[np.int64]:
    """Noisy labels (N,) that depend on the images.

    An image keeps its label with probability 1 - q. Otherwise a class is drawn from the softmax
    of a random projection of the image. As in the authors' code, q is drawn from a normal
    distribution with mean `rate` and standard deviation 0.1, truncated to [0, 1]. So the expected
    share of wrong labels is `expected_share(rate)`, which equals `rate` from 0.3 to 0.7.

    Args:
        labels_N: true labels, in [0, classes).
        inputs_NS: normalised images.
        classes: C.
        rate: in [0, 1].
        rng: source of all random numbers.
    """
    rates_N = _rates(rate).rvs(size=len(labels_N), random_state=rng)
    noisy_N = labels_N.copy()
    for label in range(classes):
        projection_SC = rng.standard_normal((inputs_NS.shape[1], classes), dtype=np.float32)
        members = np.flatnonzero(labels_N == label)
        scores = inputs_NS[members] @ projection_SC
        probabilities = flip_probabilities(scores, label, rates_N[members])
        reached = probabilities.cumsum(axis=1) < rng.random((len(members), 1))
        noisy_N[members] = np.minimum(reached.sum(axis=1), classes - 1)
    return noisy_N


def expected_share(rate: float) -> float:
    """The expected share of wrong labels at a rate, in [0, 1].

    It is the mean of the truncated normal distribution: 0.080 at rate 0, 0.101 at 0.05, 0.129 at
    0.1, 0.206 at 0.2.
    """
    return float(_rates(rate).mean())


def _rates(rate: float) -> rv_frozen:
    from scipy.stats import truncnorm  # imported here: it takes a second, and few runs need it

    return truncnorm((0 - rate) / _SPREAD, (1 - rate) / _SPREAD, rate, _SPREAD)


def flip_probabilities(
    scores_NC: NDArray[np.float32], label: int, rates_N: NDArray[np.float64]
) -> NDArray[np.float64]:
    """p(noisy label) (N, C) of images of one class: 1 - q for it, q * softmax(scores) for others.

    Args:
        scores_NC: projections of the images.
        label: the images' class.
        rates_N: q of each image, in [0, 1].
    """
    others_NC = scores_NC.astype(np.float64)
    others_NC[:, label] = -np.inf
    flipped_NC: NDArray[np.float64] = rates_N[:, None] * softmax(others_NC, axis=1)
    flipped_NC[:, label] = 1 - rates_N
    return flipped_NC
