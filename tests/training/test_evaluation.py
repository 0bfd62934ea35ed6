"""Evaluation: the numbers of a split, and a network that is left as it was."""

from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from famus_ray.config import resolve
from famus_ray.data.catalog import load_dataset
from famus_ray.meta.heads import MeanCrossEntropy
from famus_ray.training.evaluation import evaluate, judge


@pytest.fixture(scope="module")
def data():
    config = resolve("digits", ("noise.rate=0.4",)).config
    return load_dataset(config.data, config.noise, config.run.seed)


class Says(nn.Module):
    """Logits that are the same for every image."""

    def __init__(self, logits_C: list[float]) -> None:
        super().__init__()
        self.logits_C = nn.Parameter(torch.tensor(logits_C))

    def forward(self, inputs: torch.Tensor) -> torch.Tensor:
        return self.logits_C.expand(len(inputs), -1)


def test_accuracies_and_loss_are_those_of_the_logits(data):
    labels = data.test.labels
    found = evaluate(Says([0.0] * 3 + [2.0] + [1.0] * 4 + [0.0] * 2), data, data.test)
    assert found["top1"] == pytest.approx(labels.eq(3).double().mean().item())
    among_five = (labels >= 3) & (labels <= 7)
    assert found["top5"] == pytest.approx(among_five.double().mean().item())
    total = math.log(math.exp(2) + 4 * math.e + 5)
    logits = torch.tensor([0.0] * 3 + [2.0] + [1.0] * 4 + [0.0] * 2)
    assert found["loss"] == pytest.approx((total - logits[labels].double()).mean().item(), rel=1e-5)


@pytest.mark.parametrize("training", [True, False])
def test_a_network_is_left_in_its_mode_with_its_statistics(data, training):
    model = nn.Sequential(nn.Flatten(), nn.LazyBatchNorm1d(), nn.LazyLinear(10))
    model(torch.zeros(2, *data.test.pixels.shape[1:]))
    model.train(training)
    before = {name: value.clone() for name, value in model.state_dict().items()}
    evaluate(model, data, data.test)
    judge(model, data, MeanCrossEntropy())
    assert model.training == training
    assert all(torch.equal(value, before[name]) for name, value in model.state_dict().items())


def test_a_judgement_is_of_the_labels_that_training_sees(data):
    logits = [float(c) for c in range(10)]
    found = judge(Says(logits), data, MeanCrossEntropy())
    total = math.log(sum(map(math.exp, logits)))
    expected = [total - logits[label] for label in data.train.labels.tolist()]
    np.testing.assert_allclose(found.losses_N, expected, rtol=1e-5)
    assert set(found.predictions_N.tolist()) == {9}
    assert np.isnan(found.weights_N).all()  # the head learns none
