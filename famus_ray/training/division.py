"""Division: probably clean labels, found from per-example losses (Section 5.3, supplement).

A divider turns losses into p(clean). `divide` turns p(clean) into the labelled, the unlabelled
and the pseudo-clean meta examples of an epoch, and records where it replaced a threshold.
"""

# Shapes: N examples.
from __future__ import annotations

import logging
import warnings
from collections.abc import Callable
from dataclasses import dataclass

import numpy as np
from numpy.typing import NDArray

from famus_ray.config.schema import DivisionConfig

__all__ = ["DIVIDERS", "Division", "clean_probability", "divide"]

Floats = NDArray[np.float64]
Divider = Callable[[Floats, DivisionConfig, int], Floats]

_FITTED = 200_000  # losses that a Gaussian mixture is fitted on

_log = logging.getLogger(__name__)


def clean_probability(losses_N: Floats, division: DivisionConfig, seed: int) -> Floats:
    """p(clean) of each example (N,), in [0, 1], by the divider `division.kind`.

    If all losses are equal, every example gets 0.5.

    Args:
        losses_N: in nats.
        division: section `division` of the config.
        seed: of the mixture's first guess and of the sample that it is fitted on.

    Raises:
        ValueError: losses that are not finite.
    """
    low, high = float(losses_N.min()), float(losses_N.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("the losses must be finite")
    if high - low < 1e-12:
        return np.full(len(losses_N), 0.5)
    return DIVIDERS[division.kind](losses_N, division, seed)


def gaussian(losses_N: Floats, division: DivisionConfig, seed: int) -> Floats:
    """p(clean) (N,) by a Gaussian mixture of two components (Li et al. 2020, DivideMix).

    It is the posterior of the low-loss component, over the min-max scaled losses. The mixture is
    fitted on at most 200,000 of them, drawn with the seed: its parameters are then known to
    three digits, and more examples would only cost time and memory.
    """
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.mixture import GaussianMixture

    scaled_N1 = _scaled(losses_N).reshape(-1, 1)
    mixture = GaussianMixture(
        2,
        max_iter=division.max_iter,
        tol=division.tol,
        reg_covar=division.reg_covar,
        random_state=seed,
    )
    with warnings.catch_warnings():
        # The published setting has few iterations; the fit need not have converged.
        warnings.simplefilter("ignore", ConvergenceWarning)
        mixture.fit(_sample(scaled_N1, seed))
    clean = int(mixture.means_.argmin())
    parts = np.array_split(scaled_N1, -(-len(scaled_N1) // _FITTED))
    return np.concatenate([mixture.predict_proba(part)[:, clean] for part in parts])


def _sample(scaled_N1: Floats, seed: int) -> Floats:
    if len(scaled_N1) <= _FITTED:
        return scaled_N1
    return scaled_N1[np.random.default_rng(seed).integers(len(scaled_N1), size=_FITTED)]


def beta(losses_N: Floats, division: DivisionConfig, seed: int) -> Floats:
    """p(clean) (N,) by a mixture of two Beta distributions (Arazo et al. 2019).

    It is fitted by expectation-maximisation with weighted moments, without random numbers.
    """
    from scipy.special import betaln

    del seed
    x_N = _scaled(losses_N).clip(1e-4, 1 - 1e-4)
    log_x_N, log_rest_N = np.log(x_N), np.log1p(-x_N)
    shapes, shares = np.array([[1.0, 2.0], [2.0, 1.0]]), np.array([0.5, 0.5])
    high_N = np.full_like(x_N, 0.5)
    for _ in range(division.max_iter):
        logs_2N = np.stack(
            [
                np.log(share) + (a - 1) * log_x_N + (b - 1) * log_rest_N - betaln(a, b)
                for (a, b), share in zip(shapes, shares, strict=True)
            ]
        )
        high_N = 1 / (1 + np.exp((logs_2N[0] - logs_2N[1]).clip(-700, 700)))
        for k, part_N in enumerate((1 - high_N, high_N)):
            total = part_N.sum() + 1e-12
            mean = (part_N @ x_N) / total
            variance = max(float(part_N @ (x_N - mean) ** 2) / total, 1e-6)
            concentration = max(mean * (1 - mean) / variance - 1, 1e-3)
            shapes[k] = mean * concentration, (1 - mean) * concentration
            shares[k] = max(total / len(x_N), 1e-6)
    means = shapes[:, 0] / shapes.sum(axis=1)
    clean_N: Floats = 1 - high_N if means[0] <= means[1] else high_N
    # Outside the two means the ratio of the densities may turn; p(clean) must fall with the loss.
    lowest = x_N <= means.min()
    clean_N[lowest] = clean_N[lowest].max(initial=0.0)
    highest = x_N >= means.max()
    clean_N[highest] = clean_N[highest].min(initial=1.0)
    return clean_N


def agreement(losses_N: Floats, division: DivisionConfig, seed: int) -> Floats:
    """p(clean) (N,) as the network's probability of the label, exp(-loss)."""
    del division, seed
    return np.exp(-losses_N)


DIVIDERS: dict[str, Divider] = {"gaussian": gaussian, "beta": beta, "agreement": agreement}


@dataclass(frozen=True)
class Division:
    """A divided training set; indices are sorted positions in it.

    Attributes:
        p_clean_N: p(clean) in [0, 1].
        labelled: indices of the examples that keep their label.
        unlabelled: indices of the other examples.
        meta: indices of the pseudo-clean meta set.
        fallback: message where a threshold was replaced; else empty.
    """

    p_clean_N: Floats
    labelled: NDArray[np.int64]
    unlabelled: NDArray[np.int64]
    meta: NDArray[np.int64]
    fallback: str = ""


def divide(p_clean_N: Floats, losses_N: Floats, division: DivisionConfig, batch: int) -> Division:
    """The division by thresholds: labelled above `p_threshold`, meta above `meta_threshold`.

    If the labelled or the unlabelled part has fewer examples than a batch, the half with the
    higher p(clean) is labelled (the median, supplement). If the meta set has, it is one batch of
    the examples with the highest p(clean). Ties are broken by the lower loss.

    Args:
        p_clean_N: p(clean) in [0, 1].
        losses_N: in nats.
        division: section `division` of the config.
        batch: size of a batch.
    """
    count = len(p_clean_N)
    is_labelled = p_clean_N > division.p_threshold
    in_meta = p_clean_N > division.meta_threshold
    fallback = []

    def most_probable(wanted: int) -> NDArray[np.bool_]:
        chosen = np.zeros(count, dtype=bool)
        chosen[np.lexsort((losses_N, -p_clean_N))[:wanted]] = True
        return chosen

    if not batch <= is_labelled.sum() <= count - batch:
        fallback.append(
            f"{is_labelled.sum()} of {count} examples are above division.p_threshold = "
            f"{division.p_threshold}: the more probable half is labelled instead"
        )
        is_labelled = most_probable((count + 1) // 2)
    if in_meta.sum() < min(batch, count):
        fallback.append(
            f"{in_meta.sum()} of {count} examples are above division.meta_threshold = "
            f"{division.meta_threshold}: the {min(batch, count)} most probable are the meta set"
        )
        in_meta = most_probable(min(batch, count))
    for message in fallback:
        _log.info(message)
    return Division(
        p_clean_N,
        np.flatnonzero(is_labelled),
        np.flatnonzero(~is_labelled),
        np.flatnonzero(in_meta),
        "; ".join(fallback),
    )


def _scaled(losses_N: Floats) -> Floats:
    low, high = losses_N.min(), losses_N.max()
    scaled: Floats = (losses_N - low) / (high - low)
    return scaled
