"""The splits of a data set, and what the corruption touches."""

import numpy as np
import pytest
import torch
from sklearn.datasets import load_digits

from famus_ray import UserError
from famus_ray.config.schema import DataConfig, NoiseConfig
from famus_ray.data.batches import eval_batches
from famus_ray.data.catalog import load_dataset
from famus_ray.data.digits import read_digits

NOISE = NoiseConfig(kind="symmetric", rate=0.4)


def load(noise=NOISE, seed=3, **data):
    return load_dataset(DataConfig(**{"meta_per_class": 7, **data}), noise, seed)


@pytest.fixture(scope="module")
def digits():
    return load()


def training_splits(data):
    return (data.train, data.meta, data.validation)


def test_the_splits_are_disjoint_and_use_every_image(digits):
    ids = torch.cat([split.ids for split in training_splits(digits)])
    assert sorted(ids.tolist()) == list(range(1438))
    assert len(digits.test) == 359


def test_test_images_are_not_among_the_training_images():
    # Read anew from scikit-learn: each of its images is on exactly one side.
    bunch = load_digits()
    train, test = read_digits()
    assert len(train.labels) + len(test.labels) == len(bunch.target)
    together = np.concatenate([train.labels, test.labels])
    assert (np.bincount(together) == np.bincount(bunch.target)).all()
    is_test = np.arange(len(bunch.target)) % 5 == 4
    assert (test.labels == bunch.target[is_test]).all()
    assert (train.labels == bunch.target[~is_test]).all()


def test_ids_lead_back_to_the_images(digits):
    train, _ = read_digits()
    for split in training_splits(digits):
        assert (split.pixels.numpy() == train.pixels[split.ids]).all()
        assert (split.true_labels.numpy() == train.labels[split.ids]).all()


def test_meta_has_the_asked_number_of_each_class(digits):
    assert torch.bincount(digits.meta.true_labels).tolist() == [7] * 10


def test_validation_is_held_out_class_by_class(digits):
    train, _ = read_digits()
    expected = [round(0.1 * n) for n in np.bincount(train.labels).tolist()]
    assert torch.bincount(digits.validation.true_labels).tolist() == expected


def test_only_training_labels_are_corrupted(digits):
    for split in (digits.meta, digits.validation, digits.test):
        assert (split.labels == split.true_labels).all()
    wrong = (digits.train.labels != digits.train.true_labels).float().mean()
    assert 0.3 < wrong < 0.4  # of the 40 % redrawn a tenth meets its true class


def test_the_share_is_one_of_the_training_split():
    train = load(noise=NoiseConfig(kind="symmetric_excl", rate=0.4)).train
    assert (train.labels != train.true_labels).sum() == int(0.4 * len(train))


def test_the_seed_decides_the_split(digits):
    again, other = load(), load(seed=4)
    assert (again.meta.ids == digits.meta.ids).all()
    assert again.fingerprint == digits.fingerprint
    assert not torch.equal(other.meta.ids, digits.meta.ids)
    assert other.fingerprint != digits.fingerprint


def test_the_noise_seed_changes_labels_and_nothing_else(digits):
    other = load(noise=NOISE.model_copy(update={"seed": 9}))
    assert torch.equal(other.train.ids, digits.train.ids)
    assert not torch.equal(other.train.labels, digits.train.labels)
    assert other.fingerprint != digits.fingerprint


def test_no_validation_set_where_none_is_asked():
    data = load(validation_fraction=0.0)
    assert len(data.validation) == 0
    assert len(data.train) + len(data.meta) == 1438


def test_too_many_meta_examples_name_the_setting():
    with pytest.raises(UserError, match=r"data.meta_per_class = 500: class 0 of digits has"):
        load(meta_per_class=500)


def test_normalised_pixels_have_mean_0_and_deviation_1():
    data = load(meta_per_class=0, validation_fraction=0.0)
    pixels = torch.cat([inputs for inputs, _ in eval_batches(data, data.train)])
    assert len(pixels) == 1438
    assert pixels.mean().item() == pytest.approx(0, abs=1e-4)
    assert pixels.std().item() == pytest.approx(1, abs=1e-3)


@pytest.mark.parametrize("name", ["cifar10", "cifar100"])
def test_data_in_a_folder_need_the_folder(name):
    with pytest.raises(UserError, match=rf"data.root: {name} is read from a folder"):
        load(name=name)
