"""FamusClassifier behaves as scikit-learn's own tools expect."""

import numpy as np
import pytest
from sklearn.base import clone
from sklearn.datasets import load_digits
from sklearn.metrics import roc_auc_score
from sklearn.model_selection import cross_val_score

import famus_ray as fr

SETTINGS = {"schedule": {"epochs": 6}, "run": {"threads": 1}}


@pytest.fixture(scope="module")
def digits():
    """Images, labels of which 30 % are wrong, true labels; names of classes are words."""
    images, truth = load_digits(n_class=4, return_X_y=True)
    rng = np.random.default_rng(0)
    labels = np.where(rng.random(len(truth)) < 0.3, (truth + 1) % 4, truth)
    words = np.array(["zero", "one", "two", "three"])
    return images.reshape(-1, 8, 8) / 16, words[labels], words[truth]


@pytest.fixture(scope="module")
def fitted(digits, tmp_path_factory):
    images, labels, truth = digits
    root = tmp_path_factory.mktemp("runs")
    classifier = fr.FamusClassifier(settings=SETTINGS, root=root)
    return classifier.fit(images[80:], labels[80:], images[:80], truth[:80])


def test_it_learns_from_wrong_labels_and_clean_examples(fitted, digits):
    images, _, truth = digits
    assert fitted.classes_.tolist() == ["one", "three", "two", "zero"]
    probabilities = fitted.predict_proba(images)
    np.testing.assert_allclose(probabilities.sum(1), 1)
    assert fitted.predict(images).tolist() == fitted.classes_[probabilities.argmax(1)].tolist()
    assert fitted.score(images, truth) > 0.9


def test_scores_and_weights_are_those_of_the_examples_in_their_order(fitted, digits):
    _, labels, truth = (part[80:] for part in digits)
    right = labels == truth
    for judged in (fitted.label_scores_, fitted.sample_weight_):
        assert judged.shape == right.shape
        assert ((judged >= 0) & (judged <= 1)).all()
    assert roc_auc_score(right, fitted.label_scores_) > 0.9
    assert fitted.sample_weight_[right].mean() > fitted.sample_weight_[~right].mean()


def test_parameters_are_set_and_copied(fitted, tmp_path):
    copied = clone(fitted).set_params(seed=3, method="ce")
    assert copied.get_params()["seed"] == 3
    assert copied.get_params()["settings"] == SETTINGS
    assert not hasattr(copied, "network_")


def test_it_goes_through_cross_validation(digits, tmp_path):
    images, labels, _ = digits
    short = {"schedule": {"epochs": 1}, "run": {"threads": 1}}
    classifier = fr.FamusClassifier(settings=short, root=tmp_path)
    scores = cross_val_score(classifier, images, labels, cv=2, error_score="raise")
    assert len(scores) == 2


def test_without_a_meta_model_all_weights_are_one(digits, tmp_path):
    images, labels, _ = digits
    short = {"schedule": {"epochs": 1}, "run": {"threads": 1}}
    classifier = fr.FamusClassifier(settings=short, root=tmp_path).fit(images, labels)
    assert (classifier.sample_weight_ == 1).all()
    assert not np.isnan(classifier.label_scores_).any()
    with pytest.raises(fr.UserError, match=r"X: images of \(1, 7, 8\), of \(1, 8, 8\) in fit"):
        classifier.predict(images[:, 1:])
