"""A data set of your own, read by a function: grey images with a bright square in a corner."""

import numpy as np

import famus_ray as fr
from famus_ray.data.images import Images, Source


def read(data):
    """The data set, from the section `data` of the settings."""
    return Source(train=squares(400, seed=0), test=squares(100, seed=1))


def squares(count, seed):
    """Images and the number of the corner that is bright."""
    rng = np.random.default_rng(seed)
    labels = rng.integers(0, 4, count)
    pixels = rng.integers(0, 60, (count, 1, 8, 8), dtype=np.uint8)
    for image, label in zip(pixels, labels, strict=True):
        top, left = 4 * (label // 2), 4 * (label % 2)
        image[0, top : top + 4, left : left + 4] += 180
    return Images(pixels, labels, classes=4, mean=(0.3,), std=(0.3,))


if __name__ == "__main__":
    print(fr.train("digits", data="own_data:read", schedule={"epochs": 4}, quiet=True))
