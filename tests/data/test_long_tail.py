"""Long-tailed training sets by the published formula."""

import numpy as np
import pytest

from famus_ray.config.schema import DataConfig, NoiseConfig
from famus_ray.data.catalog import load_dataset
from famus_ray.data.digits import read_digits
from famus_ray.data.long_tail import long_tail, tail_sizes


def test_cifar10_with_factor_100_has_the_published_sizes():
    # Cui et al. 2019, Cao et al. 2019: 12,406 images
    sizes = tail_sizes(5000, 10, 100)
    assert sizes.tolist() == [5000, 2997, 1796, 1077, 645, 387, 232, 139, 83, 50]


@pytest.mark.parametrize(("imbalance", "last"), [(10, 500), (20, 250), (50, 100), (200, 25)])
def test_the_last_class_is_smaller_by_the_factor(imbalance, last):
    assert tail_sizes(5000, 10, imbalance)[[0, -1]].tolist() == [5000, last]


def test_examples_are_drawn_from_their_class_without_repetition():
    labels = np.random.default_rng(0).permutation(np.repeat([0, 1, 2], 100))
    kept = long_tail(labels, 3, 4, seed=1)
    assert np.bincount(labels[kept]).tolist() == [100, 50, 25]
    assert len(set(kept.tolist())) == 175
    assert not np.array_equal(kept, long_tail(labels, 3, 4, seed=2))
    assert np.array_equal(kept, long_tail(labels, 3, 4, seed=1))


def test_a_class_with_too_few_examples_keeps_what_it_has():
    labels = np.repeat([0, 1, 2], [10, 3, 10])
    assert np.bincount(labels[long_tail(labels, 3, 1.01, seed=0)]).tolist() == [10, 3, 9]
    assert np.bincount(labels[long_tail(labels, 3, 1e6, seed=0)]).tolist() == [10, 1, 1]


def test_the_meta_set_is_balanced_and_the_test_set_whole():
    data = DataConfig(imbalance=10, meta_per_class=10, validation_fraction=0.0)
    digits = load_dataset(data, NoiseConfig(), seed=0)
    left = np.bincount(read_digits()[0].labels) - 10
    expected = np.minimum(tail_sizes(left.max(), 10, 10), left)
    assert np.bincount(digits.train.labels).tolist() == expected.tolist()
    assert np.bincount(digits.meta.labels).tolist() == [10] * 10
    assert len(digits.test) == 359
    assert not set(digits.meta.ids.tolist()) & set(digits.train.ids.tolist())
