"""Instance-dependent noise (Xia et al. 2020, algorithm 2)."""

import numpy as np
import pytest

from famus_ray.config.schema import DataConfig, NoiseConfig
from famus_ray.data.catalog import load_dataset
from famus_ray.data.instance_noise import expected_share, flip_probabilities, instance_labels


def test_probabilities_by_hand():
    # Scores 0 and log 3 of the two other classes share q = 0.4 as 1 : 3.
    scores = np.array([[9.0, 0.0, np.log(3)]], dtype=np.float32)
    found = flip_probabilities(scores, label=0, rates_N=np.array([0.4]))
    np.testing.assert_allclose(found, [[0.6, 0.1, 0.3]], rtol=1e-6)


# By quadrature of the normal density on [0, 1], to four digits: the table of docs/data.md.
SHARES = {0.05: 0.1009, 0.1: 0.1288, 0.2: 0.2055, 0.4: 0.4000, 0.9: 0.8712, 1.0: 0.9202}


def test_the_share_at_a_rate_is_the_mean_of_the_truncated_normal():
    q = (np.arange(100_000) + 0.5) / 100_000
    for rate, share in SHARES.items():
        density = np.exp(-(((q - rate) / 0.1) ** 2) / 2)
        assert (q * density).sum() / density.sum() == pytest.approx(share, abs=6e-5)
        assert expected_share(rate) == pytest.approx(share, abs=6e-5)


@pytest.mark.parametrize("rate", [0.05, 0.2, 0.4, 1.0])
def test_the_share_of_changed_labels_is_the_one_told(rate):
    rng = np.random.default_rng(0)
    labels = rng.integers(0, 5, 20_000)
    inputs = rng.standard_normal((20_000, 6)).astype(np.float32)
    noisy = instance_labels(labels, inputs, 5, rate, np.random.default_rng(1))
    spread = np.sqrt(SHARES[rate] * (1 - SHARES[rate]) / len(labels))
    assert abs((noisy != labels).mean() - SHARES[rate]) < 5 * spread


def test_images_that_are_alike_go_to_the_same_class():
    labels = np.zeros(2000, dtype=np.int64)
    inputs = np.tile(np.random.default_rng(0).standard_normal(50).astype(np.float32), (2000, 1))
    noisy = instance_labels(labels, inputs, 10, 0.5, np.random.default_rng(1))
    wrong = np.bincount(noisy[noisy != 0], minlength=10)
    assert wrong.max() > 0.9 * wrong.sum()


def test_digits_take_it_by_name():
    noise = NoiseConfig(kind="instance", rate=0.3)
    train = load_dataset(DataConfig(), noise, seed=0).train
    assert abs((train.labels != train.true_labels).float().mean() - 0.3) < 0.05
    again = load_dataset(DataConfig(), noise, seed=0).train
    assert (again.labels == train.labels).all()
