"""Division: which labels are clean, told from per-example losses (Section 5.3, supplement)."""

# Shapes: N examples.
from __future__ import annotations

import numpy as np
from numpy.typing import NDArray

from famus_ray.config.schema import DivisionConfig

__all__ = ["clean_probability"]


def clean_probability(
    losses_N: NDArray[np.float64], division: DivisionConfig, seed: int
) -> NDArray[np.float64]:
    """p(clean) of each example (N,), in [0, 1]: its part in the low-loss component of a
    two-component Gaussian mixture over the min-max scaled losses (Arazo et al. 2019).

    Losses that are all alike tell nothing: every example gets 0.5.
    """
    low, high = float(losses_N.min()), float(losses_N.max())
    if not np.isfinite([low, high]).all():
        raise ValueError("the losses must be finite")
    if high - low < 1e-12:
        return np.full(len(losses_N), 0.5)
    from sklearn.mixture import GaussianMixture

    scaled_N1 = ((losses_N - low) / (high - low)).reshape(-1, 1)
    mixture = GaussianMixture(
        2,
        max_iter=division.max_iter,
        tol=division.tol,
        reg_covar=division.reg_covar,
        random_state=seed,
    ).fit(scaled_N1)
    clean = int(mixture.means_.argmin())
    probability: NDArray[np.float64] = mixture.predict_proba(scaled_N1)[:, clean]
    return probability
