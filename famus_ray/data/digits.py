"""scikit-learn's 1,797 handwritten digits, 8x8 grey; they ship with that package."""

from __future__ import annotations

import numpy as np

from famus_ray.data.images import Images

__all__ = ["read_digits"]

_TEST_FRACTION = 0.2


def read_digits() -> tuple[Images, Images]:
    """Train (1,438) and test (359) images; every fifth image is in the test set."""
    from sklearn.datasets import load_digits

    bunch = load_digits()
    pixels = np.rint(bunch.images * (255 / 16)).astype(np.uint8)[:, None]
    labels = bunch.target.astype(np.int64)
    is_test = np.arange(len(labels)) % round(1 / _TEST_FRACTION) == 4
    scaled = pixels[~is_test] / 255
    mean, std = (float(scaled.mean()),), (float(scaled.std()),)
    return (
        Images(pixels[~is_test], labels[~is_test], 10, mean, std),
        Images(pixels[is_test], labels[is_test], 10, mean, std),
    )
