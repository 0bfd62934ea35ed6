"""The batches of an epoch: shuffled, without repeats, the same whenever they are drawn."""

import pytest
import torch

from famus_ray import UserError
from famus_ray.config import resolve
from famus_ray.data.batches import EpochBatches
from famus_ray.data.catalog import Dataset, Split


def split(ids):
    """Images whose pixels all show the example's id, which is its label too."""
    ids = torch.as_tensor(ids)
    pixels = ids.to(torch.uint8).view(-1, 1, 1, 1).expand(-1, 1, 4, 4)
    return Split(pixels, ids, ids, ids)


def batches(*overrides, train=50, meta=5):
    data = Dataset(
        "made up", 10, split(range(train)), split(range(100, 100 + meta)), split([]), split([]),
        mean=(0.0,), std=(1 / 255,), fingerprint="",
    )  # fmt: skip
    settings = ("run.batch_size=8", "meta.batch_size=4", "data.augment=none")
    return EpochBatches(data, resolve("digits", (*settings, *overrides)).config)


def ids(drawn, epoch=0, of=0):
    """The ids of each batch; read from the pixels, and checked against the labels."""
    found = []
    for pair in drawn.epoch(epoch, with_meta=True):
        inputs, labels = pair[of]
        assert torch.equal(inputs[:, 0, 0, 0].round().long(), labels)
        found.append(labels.tolist())
    return found


def flat(nested):
    return [x for row in nested for x in row]


def test_an_epoch_has_full_batches_without_repeats():
    drawn = ids(batches())
    assert [len(batch) for batch in drawn] == [8] * 6
    assert len(set(flat(drawn))) == 48


def test_the_meta_set_goes_round():
    drawn = ids(batches(), of=1)
    assert [len(batch) for batch in drawn] == [4] * 6
    counts = [flat(drawn).count(i) for i in range(100, 105)]
    assert sum(counts) == 24
    assert max(counts) - min(counts) <= 1


def test_epochs_differ_and_each_can_be_drawn_again():
    first = batches()
    assert ids(first, 0) != ids(first, 1)
    assert ids(first, 0, of=1) != ids(first, 1, of=1)
    assert ids(batches(), 1) == ids(first, 1)


def test_an_augmented_epoch_can_be_drawn_again():
    def pixels(epoch):
        drawn = batches("data.augment=crop_flip", "data.crop_padding=2")
        return torch.cat([train[0] for train, _ in drawn.epoch(epoch, with_meta=True)])

    assert torch.equal(pixels(2), pixels(2))
    assert not torch.equal(pixels(2), pixels(3))


def test_the_seed_changes_the_order():
    assert ids(batches()) != ids(batches("run.seed=1"))


def test_train_batches_do_not_depend_on_the_meta_set():
    alone = [labels.tolist() for (_, labels), _ in batches().epoch(0, with_meta=False)]
    assert alone == ids(batches())


def test_a_meta_batch_is_at_most_the_meta_set():
    assert [len(batch) for batch in ids(batches("meta.batch_size=64"), of=1)] == [5] * 6


def test_a_batch_as_large_as_the_training_set_is_one_step():
    assert len(ids(batches(train=8))) == 1


def test_a_batch_larger_than_the_training_set_is_refused():
    with pytest.raises(UserError, match=r"run.batch_size = 8: more than the 7 training examples"):
        batches(train=7)
