from __future__ import annotations

import numpy as np
import pytest
import torch

import famus_ray
from famus_ray.config import resolve
from famus_ray.data.batches import EpochBatches
from famus_ray.data.catalog import load_dataset
from famus_ray.training.diagnostics import diagnose_gradient, diagnose_weights
from famus_ray.training.learner import new_learner

SETTINGS = ("model.widths=[4,6,8]", "run.batch_size=64", "noise.rate=0.4")


def begun(*overrides: str):
    config = resolve("digits", (*SETTINGS, *overrides)).config
    data = load_dataset(config.data, config.noise, config.run.seed)
    learner = new_learner(config, data, torch.device("cpu"))
    learner.gate_noise.manual_seed(0)
    learner.model.train()
    batches = EpochBatches(data, config).epoch(0, with_meta=learner.step.needs_meta_batch)
    return learner, data, [next(batches) for _ in range(3)]


@pytest.mark.usefixtures("float64")
def test_all_layers_gated_and_open_is_the_full_gradient():
    learner, _, pairs = begun("meta.sampler=all", "meta.gated_from=all")
    found = diagnose_gradient(learner.model, learner.optimiser, learner.step, pairs)
    assert found["meta/cosine"] == pytest.approx(1, abs=1e-5)
    assert found["meta/variance"] == pytest.approx(found["meta/variance_full"], rel=1e-3)
    assert 0 < found["meta/variance"] < 1


@pytest.mark.usefixtures("float64")
def test_the_last_layer_alone_is_another_gradient():
    learner, _, pairs = begun("meta.sampler=fixed", "meta.open=[linear]")
    found = diagnose_gradient(learner.model, learner.optimiser, learner.step, pairs)
    assert -1 <= found["meta/cosine"] < 1 - 1e-6  # rounding is 1e-16


@pytest.mark.usefixtures("float64")
def test_the_same_batch_again_has_no_variance():
    learner, _, pairs = begun("meta.sampler=all")
    same = [pairs[0]] * 3
    found = diagnose_gradient(learner.model, learner.optimiser, learner.step, same)
    assert found["meta/variance"] < 1e-6


def test_training_is_not_touched():
    learner, data, pairs = begun()
    before = {k: v.clone() for k, v in learner.model.state_dict().items()}
    diagnose_gradient(learner.model, learner.optimiser, learner.step, pairs)
    diagnose_weights(learner.model, learner.step, data)
    assert all(torch.equal(v, before[k]) for k, v in learner.model.state_dict().items())
    assert learner.model.training


@pytest.mark.usefixtures("float64")
def test_weights_of_right_and_wrong_labels_are_counted_apart():
    learner, data, _ = begun()
    with torch.no_grad():  # a weight net that weighs by the loss
        learner.step.head.weight_net.output.weight.abs_()
        learner.step.head.weight_net.hidden.weight.abs_()
    found = diagnose_weights(learner.model, learner.step, data)
    for kind in ("right", "wrong"):
        shares = [v for k, v in found.items() if k.startswith(f"weights/{kind}/0.")]
        assert len(shares) == 10
        assert sum(shares) == pytest.approx(1)
    assert found["weights/right/mean"] != found["weights/wrong/mean"]


@pytest.mark.parametrize("method", ["ce", "l2rw"])
def test_methods_without_a_meta_model_have_none(method):
    learner, data, pairs = begun(f"method={method}")
    assert diagnose_gradient(learner.model, learner.optimiser, learner.step, pairs) == {}
    assert diagnose_weights(learner.model, learner.step, data) == {}


def test_a_run_has_them_at_its_logging_points(tmp_path):
    result = famus_ray.train(
        "digits", *SETTINGS, "schedule.epochs=4", "run.diagnose_every=2", "run.threads=1",
        f"run.root={tmp_path}",
    )  # fmt: skip
    curves = famus_ray.load_curves(result.path)
    for metric in ("meta/cosine", "weights/wrong/mean"):
        assert list(curves[curves["metric"] == metric]["epoch"]) == [2, 4]
    gates = curves[curves["metric"].str.startswith("gates/layer3")]
    assert gates["value"].between(0, 1).all()
    assert np.isfinite(curves["value"]).all()
