"""p(clean) from losses."""

import numpy as np
import pytest

from famus_ray.config.schema import DivisionConfig
from famus_ray.training.division import clean_probability, divide


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


@pytest.mark.parametrize("kind", ["beta", "agreement"])
@pytest.mark.parametrize(("clean", "wrong"), [(300, 200), (100, 400)])
def test_other_dividers_tell_the_same_bumps_apart(kind, clean, wrong):
    losses, is_clean = two_bumps(clean, wrong)
    found = clean_probability(losses, DivisionConfig(kind=kind), 0)
    assert ((found >= 0) & (found <= 1)).all()
    assert found[is_clean].min() > found[~is_clean].max()
    assert ((found > 0.5) == is_clean).mean() > 0.95


def test_agreement_is_the_probability_of_the_label():
    losses = -np.log([0.9, 0.2, 0.5])
    found = clean_probability(losses, DivisionConfig(kind="agreement"), 0)
    assert found.tolist() == pytest.approx([0.9, 0.2, 0.5])


def test_p_clean_under_beta_never_rises_with_the_loss():
    rng = np.random.default_rng(1)
    losses = np.sort(np.concatenate([rng.gamma(2, 0.1, 400), 2 + rng.gamma(3, 0.3, 300)]))
    found = clean_probability(losses, DivisionConfig(kind="beta"), 0)
    assert (np.diff(found) <= 1e-9).all()


def divided(p_clean, losses=None, batch=2, **thresholds):
    p_clean = np.asarray(p_clean, dtype=np.float64)
    losses = np.linspace(0, 1, len(p_clean)) if losses is None else np.asarray(losses)
    return divide(p_clean, losses, DivisionConfig(**thresholds), batch)


def test_thresholds_divide():
    found = divided([0.95, 0.1, 0.6, 0.2, 0.9, 0.3])
    assert found.labelled.tolist() == [0, 2, 4]
    assert found.unlabelled.tolist() == [1, 3, 5]
    assert found.meta.tolist() == [0, 4]
    assert found.fallback == ""


@pytest.mark.parametrize(
    "p_clean", [[0.9, 0.8, 0.7, 0.6], [0.4, 0.3, 0.2, 0.1], [0.9, 0.8, 0.7, 0.1]]
)
def test_fewer_than_a_batch_on_either_side_takes_the_median(p_clean):
    found = divided(p_clean)
    assert found.labelled.tolist() == [0, 1]
    assert "the more probable half is labelled" in found.fallback


def test_of_equal_probabilities_the_lower_loss_is_labelled():
    found = divided([0.5] * 4, losses=[4.0, 1.0, 3.0, 2.0])
    assert found.labelled.tolist() == [1, 3]
    assert found.meta.tolist() == [1, 3]
    assert "the 2 most probable are the meta set" in found.fallback


def test_a_small_meta_set_is_filled_with_the_most_probable():
    found = divided([0.95, 0.6, 0.7, 0.1, 0.2, 0.3], batch=3)
    assert found.labelled.tolist() == [0, 1, 2]
    assert found.meta.tolist() == [0, 1, 2]


def test_a_fallback_is_logged(caplog):
    with caplog.at_level("INFO", logger="famus_ray.training.division"):
        divided([0.5] * 4)
    assert "division.p_threshold = 0.5" in caplog.text
