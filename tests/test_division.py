"""p(clean) from losses."""

import numpy as np
import pytest

from famus_ray.config.schema import DivisionConfig
from famus_ray.division import clean_probability


def two_bumps(clean=300, wrong=200):
    rng = np.random.default_rng(0)
    losses = np.concatenate([rng.normal(0.2, 0.05, clean), rng.normal(3.0, 0.3, wrong)])
    return losses, np.arange(clean + wrong) < clean


def p_clean(losses, seed=0):
    return clean_probability(np.asarray(losses, dtype=np.float64), DivisionConfig(), seed)


@pytest.mark.parametrize(("clean", "wrong"), [(300, 200), (100, 400), (450, 50)])
def test_low_losses_are_clean_and_high_ones_are_not(clean, wrong):
    losses, is_clean = two_bumps(clean, wrong)
    found = p_clean(losses)
    assert found[is_clean].min() > 0.95
    assert found[~is_clean].max() < 0.05


def test_the_scale_of_the_losses_does_not_matter():
    losses, _ = two_bumps()
    np.testing.assert_allclose(p_clean(losses * 7 + 3), p_clean(losses), atol=1e-6)


def test_the_order_of_the_examples_does_not_matter():
    losses, _ = two_bumps()
    np.testing.assert_allclose(p_clean(losses[::-1])[::-1], p_clean(losses), atol=1e-3)


@pytest.mark.parametrize("losses", [[0.7] * 9, [0.7], [0.7, 0.7 + 1e-15]])
def test_losses_that_are_alike_tell_nothing(losses):
    assert p_clean(losses).tolist() == [0.5] * len(losses)


@pytest.mark.parametrize("bad", [np.nan, np.inf, -np.inf])
def test_losses_that_are_not_finite_are_refused(bad):
    with pytest.raises(ValueError, match="finite"):
        p_clean([0.1, bad, 0.3])
