"""CLID-MU's meta loss on cases worked out by hand, its gradient, and what it says of labels."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch
from sklearn.metrics import roc_auc_score

import famus_ray as fr
from famus_ray.config import resolve
from famus_ray.data.batches import EpochBatches, eval_batches
from famus_ray.data.catalog import load_dataset
from famus_ray.meta import LearnedWeights, meta_gradient
from famus_ray.meta.heads import ExampleWeights
from famus_ray.methods.clidmu import CrossLayerDivergence, cross_layer_divergence
from famus_ray.models.preact_resnet import PreActResNet
from famus_ray.training.loop import start


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("last_feature", [[0.0, 2.0], [-3.0, 2.0]], ids=["apart", "opposed"])
def test_the_divergence_of_two_graphs(last_feature):
    """At temperature 1; a negative cosine counts as none."""
    features = torch.tensor([[1.0, 0.0], [3.0, 0.0], last_feature])
    probabilities = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    e = math.e
    near, far = e / (2 * e + 1), 1 / (2 * e + 1)  # rows 0 and 1: itself, its like, the third
    self_, other = e / (e + 2), 1 / (e + 2)  # row 2: itself, either of the others
    rows = [
        -math.log(near),  # to the classifier the first is alone
        -0.5 * math.log(near) - 0.5 * math.log(far),  # the others are alike
        -0.5 * math.log(self_) - 0.5 * math.log(other),
    ]
    found = cross_layer_divergence(features, probabilities, 1.0).item()
    assert found == pytest.approx(sum(rows), rel=1e-6)


@pytest.mark.usefixtures("float64")
def test_its_gradient_takes_sums_for_constants_and_parts_what_is_apart():
    """Two examples at an angle a to the classifier: d/d cos a is -(log s_01 + log s_10) / (1 + cos
    a), without the quotient rule."""
    angle = torch.tensor(0.7, requires_grad=True)
    rows = torch.stack([torch.tensor([1.0, 0.0]), torch.stack([angle.cos(), angle.sin()])])
    features = torch.tensor([[1.0, 0.0], [0.0, 1.0]])
    cross_layer_divergence(features, rows, 0.5).backward()
    log_s = math.log(1 / (1 + math.exp(1 / 0.5)))
    expected = -2 * log_s / (1 + math.cos(0.7)) * -math.sin(0.7)
    assert angle.grad.item() == pytest.approx(expected, rel=1e-5)


def test_its_meta_gradient_is_exact():
    torch.manual_seed(0)
    net, head = PreActResNet(3, 3, (1, 1), (4, 6)).double(), LearnedWeights().double()
    batch = torch.randn(6, 3, 8, 8).double(), torch.randint(3, (6,))
    found = []
    for engine in ("jvp", "double_backward"):
        loss = CrossLayerDivergence(0.5)
        with loss.watching(net.linear):
            found.append(
                meta_gradient(
                    net, head, batch, batch, lookahead_lr=0.3, meta_loss=loss, engine=engine
                ).head_grads
            )
    for name, exact in found[1].items():
        assert exact.norm() > 0
        assert (found[0][name] - exact).norm() <= 1e-9 * exact.norm(), name


def test_it_asks_for_more_of_rightly_labelled_examples():
    """After three epochs of cross-entropy: the meta gradient of each example's weight tells right
    from wrong labels, though no label of the meta batch is read."""
    overrides = ("method=clidmu", "data.augment=none", "optimiser.lr=0.02", "run.threads=1")
    config = resolve("digits", overrides).config
    data = load_dataset(config.data, config.noise, config.run.seed)
    procedure = start(
        resolve("digits", (*overrides, "method=ce")).config, data, torch.device("cpu")
    )
    for epoch in range(3):
        procedure.train_epoch(epoch, lambda *step: None)
    model, loss = procedure.learners[0].model, CrossLayerDivergence(0.5)
    (inputs, labels) = next(eval_batches(data, data.train))
    _, meta = next(EpochBatches(data, config).epoch(0, with_meta=True))
    assert meta is not None
    unread = meta[0], torch.full_like(meta[1], -1)
    with loss.watching(model.linear):
        found = meta_gradient(
            model, ExampleWeights(inputs), (inputs, labels), unread, lookahead_lr=0.02,
            meta_loss=loss,
        )  # fmt: skip
    right = labels == data.train.true_labels[: len(labels)]
    assert roc_auc_score(right, -found.head_grads["eps_B"]) > 0.85


def test_it_trains_without_a_clean_example(tmp_path: Path):
    settings = ("method=clidmu", "data.meta_per_class=0", "model.widths=[4,4,8]", "run.threads=1")
    run = fr.train("digits", *settings, "schedule.epochs=1", f"run.root={tmp_path}")
    curves = fr.load_curves(run.path)
    meta = curves[curves["metric"] == "meta/loss"]["value"]
    assert (meta > 0).all()
    assert fr.load_samples(run.path)["weight"].between(0, 1, inclusive="neither").all()
