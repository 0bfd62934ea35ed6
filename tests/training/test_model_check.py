"""What a network or a split cannot do is told before the first step, by the setting."""

import dataclasses

import pytest
import torch

import famus_ray as fr
from famus_ray import UserError
from famus_ray.config import preset_names, resolve
from famus_ray.config.usual import USUAL, what_may_help
from famus_ray.data.catalog import load_dataset
from famus_ray.training.loop import checked_data

TINY = ["model.widths=[8,8,8]", "run.threads=1", "schedule.epochs=1"]


def refusal(*overrides, data=None):
    with pytest.raises(UserError) as caught:
        checked_data(resolve("digits", [*TINY, *overrides]).config, data)
    return str(caught.value)


def test_an_empty_test_split_is_refused():
    config = resolve("digits", TINY).config
    data = load_dataset(config.data, config.noise, 0)
    empty = dataclasses.replace(data, test=data.test[torch.arange(0)])
    assert "the test set of digits is empty" in refusal(data=empty)


def test_a_batch_of_one_trains(tmp_path):
    """The late layers of this network see two by two pixels: enough for BatchNorm."""
    checked_data(resolve("digits", [*TINY, "run.batch_size=1"]).config)


@pytest.mark.parametrize(
    ("override", "key"),
    [("run.batch_size=1", "run.batch_size = 1"), ("meta.batch_size=1", "meta.batch_size = 1")],
)
def test_a_batch_of_one_that_a_network_cannot_take_is_told(override, key):
    """resnet18 of torchvision comes down to one pixel on these images of one channel."""
    message = refusal("model.name=timm/resnet18", "model.widths=null", override)
    assert message.startswith(f"{key}: timm/resnet18 cannot train on one example at a time")


def test_one_row_cannot_both_learn_and_judge():
    with pytest.raises(UserError, match=r"run.batch_size = 1: meta.source = batch needs"):
        resolve("digits", ["run.batch_size=1", "meta.source=batch"])


def test_patterns_without_the_last_layer_cannot_match_its_gradients():
    message = refusal("meta.grouping=patterns", "meta.patterns=[conv1]", "meta.lambda2=0.1")
    assert message.startswith("meta.lambda2 = 0.1: matches gradients of the last layer, which none")


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        (["noise.kind=none", "noise.rate=0.4"], "noise.rate = 0.4: has no effect without"),
        (["noise.kind=none", "optimiser.nesterov=true", "optimiser.momentum=0"], "nesterov"),
        (["scale.gpus_per_worker=0.001"], "scale.gpus_per_worker = 0.001: must be 0, a share"),
        (["scale.gpus_per_worker=1.5"], "scale.gpus_per_worker = 1.5: must be 0, a share"),
    ],
)
def test_pairs_that_make_no_sense_are_refused(overrides, found):
    with pytest.raises(UserError) as caught:
        resolve("digits", overrides)
    assert found in str(caught.value)


def test_a_kind_of_noise_without_a_rate_and_a_rate_without_a_kind_are_refused():
    with pytest.raises(UserError, match=r"noise.kind = symmetric: changes no label"):
        resolve(None, ["noise=symmetric"])
    with pytest.raises(UserError, match=r"noise.rate = 0.4: has no effect"):
        resolve("cifar10-lt-10", ["noise.rate=0.4"])
    assert resolve("digits", ["noise=none"]).config.noise.rate == 0.4  # switched off


def test_a_setting_out_of_the_ordinary_is_named():
    ordinary = what_may_help(resolve("digits").config)
    assert ordinary == "a lower optimiser.lr or meta.lr may help"
    odd = what_may_help(resolve("digits", ["meta.lambda2=1e8", "meta.weight_decay=1e5"]).config)
    assert "optimiser.lr" not in odd
    assert "meta.lambda2 = 1e+08 (usually 0 to 100)" in odd
    assert "meta.weight_decay = 100000 (usually 0 to 0.1)" in odd


def test_a_training_that_diverges_names_the_odd_setting(tmp_path):
    with pytest.raises(fr.Diverged, match=r"out of the ordinary here: optimiser.weight_decay = "):
        fr.train(
            "digits", *TINY, "method=ce", "optimiser.weight_decay=1e6", f"run.root={tmp_path}",
            quiet=True,
        )  # fmt: skip


@pytest.mark.parametrize("preset", preset_names())
def test_all_presets_are_within_the_usual(preset):
    config = resolve(preset).config
    for key, (low, high) in USUAL.items():
        section, _, name = key.partition(".")
        value = getattr(getattr(config, section), name)
        assert value is None or low <= value <= high, key
