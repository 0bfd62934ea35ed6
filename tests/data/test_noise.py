"""Label noise: each kind by its definition in the literature."""

import math

import numpy as np
import pytest
from hypothesis import given
from hypothesis import strategies as st

from famus_ray import UserError
from famus_ray.config.schema import NoiseConfig
from famus_ray.data.noise import corrupt

KINDS = ("symmetric", "symmetric_per_sample", "symmetric_excl", "asymmetric")
CIFAR10_PAIRS = {9: 1, 2: 0, 4: 7, 3: 5, 5: 3}  # Patrini et al. 2017


def random_labels(count, classes, seed=0):
    return np.random.default_rng(seed).integers(0, classes, count)


def noisy(labels, classes, kind, rate, seed=0, data="cifar10", superclass_of=None):
    return corrupt(labels, classes, NoiseConfig(kind=kind, rate=rate), seed, data, superclass_of)


def assert_binomial(hits, count, share):
    """Within five standard deviations, so that a right draw fails once in a million."""
    assert abs(hits - count * share) <= 5 * math.sqrt(count * share * (1 - share)) + 1e-9


@given(st.integers(0, 3000), st.floats(0, 1), st.integers(0, 99))
def test_symmetric_redraws_exactly_the_share(count, rate, seed):
    # With so many classes a redrawn label is never the old one.
    labels = np.zeros(count, dtype=np.int64)
    changed = noisy(labels, 2**60, "symmetric", rate, seed) != labels
    assert changed.sum() == int(rate * count)


def test_symmetric_redraws_over_all_classes_evenly():
    labels = np.full(40_000, 3)
    drawn = noisy(labels, 4, "symmetric", 1.0)
    for label in range(4):
        assert_binomial((drawn == label).sum(), len(labels), 1 / 4)


@given(st.integers(1, 3000), st.integers(2, 20), st.floats(0, 1), st.integers(0, 99))
def test_symmetric_excl_changes_exactly_the_share(count, classes, rate, seed):
    labels = random_labels(count, classes, seed)
    drawn = noisy(labels, classes, "symmetric_excl", rate, seed)
    assert (drawn != labels).sum() == int(rate * count)
    assert drawn.min() >= 0
    assert drawn.max() < classes


def test_symmetric_excl_reaches_every_other_class_evenly():
    labels = np.full(30_000, 1)
    drawn = noisy(labels, 4, "symmetric_excl", 1.0)
    for label in (0, 2, 3):
        assert_binomial((drawn == label).sum(), len(labels), 1 / 3)


@pytest.mark.parametrize("rate", [0.1, 0.4, 0.8])
def test_per_sample_redraws_each_label_by_chance(rate):
    labels = np.zeros(20_000, dtype=np.int64)
    counts = [
        int((noisy(labels, 2**60, "symmetric_per_sample", rate, seed) != 0).sum())
        for seed in range(4)
    ]
    for count in counts:
        assert_binomial(count, len(labels), rate)
    assert len(set(counts)) > 1  # the number itself is a draw


def test_asymmetric_on_cifar10_goes_to_the_similar_class():
    labels = random_labels(5000, 10)
    expected = [CIFAR10_PAIRS.get(label, label) for label in labels.tolist()]
    assert noisy(labels, 10, "asymmetric", 1.0).tolist() == expected


def test_asymmetric_leaves_the_rest_alone():
    labels = np.full(1000, 9)
    drawn = noisy(labels, 10, "asymmetric", 0.4)
    assert np.bincount(drawn).tolist() == [0, 400, 0, 0, 0, 0, 0, 0, 0, 600]


def test_asymmetric_on_cifar100_goes_round_in_the_superclass():
    superclass_of = np.random.default_rng(1).permutation(np.repeat(np.arange(20), 5))
    start = np.arange(100)

    def step(labels):
        return noisy(labels, 100, "asymmetric", 1.0, 0, "cifar100", superclass_of)

    assert (superclass_of[step(start)] == superclass_of).all()
    seen, now = [start], start
    for _ in range(4):
        now = step(now)
        seen.append(now)
    assert all(len(set(circle)) == 5 for circle in zip(*seen, strict=True))
    assert (step(now) == start).all()
    # The next of the same superclass, the last goes to the first.
    members = np.flatnonzero(superclass_of == superclass_of[0]).tolist()
    assert step(start)[members].tolist() == [*members[1:], members[0]]


def test_asymmetric_is_refused_where_it_is_not_defined():
    with pytest.raises(UserError, match=r"asymmetric: not defined for faces; it is for cifar10"):
        noisy(np.zeros(9, dtype=np.int64), 10, "asymmetric", 0.4, data="faces")


@pytest.mark.parametrize("kind", KINDS)
def test_the_seed_alone_decides(kind):
    labels = random_labels(2000, 10)
    before = labels.copy()
    first = noisy(labels, 10, kind, 0.4, seed=3)
    np.random.seed(1)
    np.random.random(7)
    assert (noisy(labels, 10, kind, 0.4, seed=3) == first).all()
    assert (noisy(labels, 10, kind, 0.4, seed=4) != first).any()
    assert (labels == before).all()


@pytest.mark.parametrize("kind", [*KINDS, "none"])
def test_no_rate_no_noise(kind):
    labels = random_labels(500, 10)
    assert (noisy(labels, 10, kind, 0.0) == labels).all()
