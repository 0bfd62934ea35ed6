"""Epochs on a class-balanced draw."""

import torch

import famus_ray as fr
from famus_ray.config import resolve
from famus_ray.data.balanced import balanced_places, epoch_data
from famus_ray.data.catalog import load_dataset

LABELS = torch.tensor([0] * 100 + [1] * 20 + [2] * 3)


def draw(wanted, seed=0):
    return balanced_places(LABELS, wanted, torch.Generator().manual_seed(seed))


def test_every_class_gives_the_same_number_and_repeats_no_sooner_than_it_must():
    places = draw(60)
    assert torch.bincount(LABELS[places]).tolist() == [20, 20, 20]
    assert len(set(places[LABELS[places] == 0].tolist())) == 20
    assert sorted(places[LABELS[places] == 1].tolist()) == list(range(100, 120))
    assert torch.bincount(places[LABELS[places] == 2] - 120).tolist() in (
        [7, 7, 6], [7, 6, 7], [6, 7, 7],
    )  # fmt: skip


def test_a_number_that_the_classes_do_not_divide_leaves_them_one_apart():
    counts = torch.bincount(LABELS[draw(20)])
    assert counts.sum() == 20
    assert counts.max() - counts.min() <= 1


def test_each_epoch_draws_anew_and_can_be_drawn_again():
    config = resolve("digits", ["schedule.balanced_batches=3", "data.imbalance=10"]).config
    data = load_dataset(config.data, config.noise, 0)
    first, again, second = (epoch_data(data, config, epoch).train for epoch in (0, 0, 1))
    assert len(first) == 3 * 64
    assert torch.equal(first.ids, again.ids)
    assert not torch.equal(first.ids, second.ids)
    pixels = dict(zip(data.train.ids.tolist(), data.train.pixels, strict=True))
    assert all(torch.equal(pixels[int(i)], p) for i, p in zip(first.ids, first.pixels, strict=True))
    whole = resolve("digits").config
    assert epoch_data(data, whole, 0) is data


def test_a_pipeline_divides_the_epochs_part_and_in_the_end_all(tmp_path):
    result = fr.train(
        "digits", "method=dividemix", "schedule.balanced_batches=4", "schedule.epochs=3",
        "pipeline.warmup=1", "model.widths=[4,4,8]", "run.threads=1", "run.batch_size=32",
        f"run.root={tmp_path}",
    )  # fmt: skip
    samples = fr.load_samples(result.path)
    sizes = samples.groupby(["epoch", "network"]).size()
    assert (sizes.loc[[1, 2]] == 4 * 32).all()
    assert (sizes.loc[3] == 1194).all()
    assert len(fr.load_labels(result.path)) == 1194
