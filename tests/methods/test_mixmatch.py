"""DivideMix's formulas on cases worked out by hand, and its losses in the meta gradient."""

from __future__ import annotations

import math

import pytest
import torch
import torch.nn.functional as F

from famus_ray.config import resolve
from famus_ray.data.catalog import load_dataset
from famus_ray.meta import LearnedWeights, meta_gradient
from famus_ray.meta.heads import TransitionMatrix, WeightNet, mean_cross_entropy
from famus_ray.methods.mixmatch import (
    HalvesWeights,
    MixedHead,
    MixedLoss,
    MixedMean,
    PriorMetaLoss,
    guess,
    mixed_label_loss,
    mixed_targets,
    prior_divergence,
    refine,
    sharpen,
)
from famus_ray.models.preact_resnet import PreActResNet
from famus_ray.training.division import Division
from famus_ray.training.mixed_batches import MixedBatches, steps_of
from famus_ray.training.two_networks import Ensemble, ramp_up

CLASSES = 4


@pytest.mark.usefixtures("float64")
def test_sharpening_with_one_half_squares_and_normalises():
    found = sharpen(torch.tensor([[0.6, 0.3, 0.1]]), 0.5)
    assert found[0].tolist() == pytest.approx([0.36 / 0.46, 0.09 / 0.46, 0.01 / 0.46])


@pytest.mark.usefixtures("float64")
def test_refined_labels():
    views = torch.tensor([[0.2, 0.8]]), torch.tensor([[0.4, 0.6]])
    # p * label + (1 - p) * mean of the views: 0.5 * (1, 0) + 0.5 * (0.3, 0.7) = (0.65, 0.35)
    found = refine(torch.tensor([0]), torch.tensor([0.5]), views, 1.0)
    assert found[0].tolist() == pytest.approx([0.65, 0.35])
    sharp = refine(torch.tensor([0]), torch.tensor([0.5]), views, 0.5)
    assert sharp[0].tolist() == pytest.approx([0.4225 / 0.545, 0.1225 / 0.545])


@pytest.mark.usefixtures("float64")
def test_guessed_labels():
    predictions = tuple(torch.tensor([[p, 1 - p]]) for p in (0.9, 0.7, 0.5, 0.3))
    assert guess(predictions, 1.0)[0].tolist() == pytest.approx([0.6, 0.4])


@pytest.mark.usefixtures("float64")
def test_the_losses_of_both_halves():
    logits = torch.tensor([[0.0, math.log(3.0)], [0.0, math.log(3.0)]])  # p = (1/4, 3/4)
    targets = mixed_targets(torch.tensor([[0.5, 0.5]]), torch.tensor([[1.0, 0.0]]), 8.0)
    cross = -0.5 * math.log(0.25) - 0.5 * math.log(0.75)
    squared = 8.0 * (0.75**2 + 0.75**2) / 2
    assert MixedLoss()(logits, targets).tolist() == pytest.approx([cross, squared])
    # L_x + lambda_u * L_u of DivideMix, each half its own mean.
    assert MixedHead(MixedMean(), 0.0)(logits, targets).item() == pytest.approx(cross + squared)


def test_an_unlabelled_half_without_weight_is_no_labelled_one():
    targets = mixed_targets(torch.rand(2, 3), torch.rand(2, 3), 0.0)
    assert MixedLoss()(torch.randn(4, 3), targets)[2:].tolist() == [0.0, 0.0]


@pytest.mark.usefixtures("float64")
def test_the_prior_penalty():
    logits = torch.log(torch.tensor([[0.9, 0.1], [0.5, 0.5]]))  # mean (0.7, 0.3)
    wanted = 0.5 * math.log(0.5 / 0.7) + 0.5 * math.log(0.5 / 0.3)
    assert prior_divergence(logits).item() == pytest.approx(wanted)
    assert prior_divergence(torch.zeros(5, 3)).item() == pytest.approx(0.0, abs=1e-12)


@pytest.mark.usefixtures("float64")
def test_equal_weights_make_every_method_dividemix():
    logits = torch.randn(8, CLASSES)
    targets = mixed_targets(torch.rand(4, CLASSES), torch.rand(4, CLASSES), 25.0)
    plain = MixedHead(MixedMean(), 1.0)(logits, targets).item()
    for kind in (LearnedWeights, HalvesWeights):
        weighted = MixedHead(kind(lambda_of(0.3), MixedLoss()), 1.0)
        assert weighted(logits, targets).item() == pytest.approx(plain)


@pytest.mark.usefixtures("float64")
def test_learned_weights_leave_the_balance_of_the_halves_alone():
    """Each half's weights sum to 1/2, whatever the weight net says; inside a half it chooses."""
    torch.manual_seed(0)
    head = HalvesWeights(WeightNet(), MixedLoss())
    with torch.no_grad():
        head.weight_net.output.weight.mul_(5)
    targets = mixed_targets(
        torch.rand(4, CLASSES).softmax(1), torch.rand(4, CLASSES).softmax(1), 25.0
    )
    logits = 3 * torch.randn(8, CLASSES, requires_grad=True)
    losses = MixedLoss()(logits, targets)
    raw = head.weight_net(losses.detach())
    halves = [raw[:4] / raw[:4].sum() / 2, raw[4:] / raw[4:].sum() / 2]
    wanted = torch.dot(torch.cat(halves), losses)
    assert head(logits, targets).item() == pytest.approx(wanted.item(), rel=1e-9)
    assert raw.max() > 1.05 * raw.min()


def lambda_of(weight: float) -> torch.nn.Module:
    class Constant(torch.nn.Module):
        def forward(self, losses_B):
            return torch.full_like(losses_B, weight)

    return Constant()


@pytest.mark.parametrize(
    ("epochs", "length", "found"), [(0, 16, 0.0), (4, 16, 6.25), (16, 16, 25.0), (99, 16, 25.0)]
)
def test_the_ramp_up(epochs, length, found):
    assert ramp_up(25.0, epochs, length) == pytest.approx(found)
    assert ramp_up(25.0, epochs, 0) == 25.0


@pytest.mark.usefixtures("float64")
def test_the_ensemble_is_the_mean_of_the_probabilities():
    networks = [torch.nn.Linear(3, 2), torch.nn.Linear(3, 2)]
    x = torch.randn(5, 3)
    mean = (networks[0](x).softmax(1) + networks[1](x).softmax(1)) / 2
    assert torch.allclose(Ensemble(networks)(x).softmax(1), mean, atol=1e-12)


@pytest.mark.parametrize("released", [False, True], ids=["paper", "released"])
@pytest.mark.parametrize("head", ["weights", "halves", "matrix"])
def test_the_meta_gradient_of_a_mixed_batch_is_exact(head, released):
    """The one engine serves soft targets, both halves and the prior: against its definition."""
    torch.manual_seed(0)
    inner = {
        "weights": LearnedWeights(example_loss=MixedLoss()),
        "halves": HalvesWeights(example_loss=MixedLoss()),
        "matrix": TransitionMatrix(CLASSES, label_loss=mixed_label_loss),
    }
    mixed = MixedHead(inner[head], 1.0).double()
    net = PreActResNet(CLASSES, 3, (1, 1), (4, 6)).double()
    targets = mixed_targets(
        torch.rand(4, CLASSES).softmax(1), torch.rand(4, CLASSES).softmax(1), 25.0
    )
    train = torch.randn(8, 3, 8, 8).double(), targets.double()
    meta = torch.randn(6, 3, 8, 8).double(), torch.rand(6, CLASSES).softmax(1).double()
    loss = PriorMetaLoss(1.0) if released else mean_cross_entropy
    found = [
        meta_gradient(net, mixed, train, meta, lookahead_lr=0.3, meta_loss=loss, engine=engine)
        for engine in ("jvp", "double_backward")
    ]
    for name, exact in found[1].head_grads.items():
        assert exact.norm() > 0
        assert (found[0].head_grads[name] - exact).norm() <= 1e-9 * exact.norm(), name


def batches_of(labelled: list[int], unlabelled: list[int], *overrides: str):
    config = resolve("digits", ("method=dividemix", "run.batch_size=4", *overrides)).config
    data = load_dataset(config.data, config.noise, config.run.seed)
    p_clean = torch.rand(len(data.train)).double().numpy()
    places = [torch.tensor(x).numpy() for x in (labelled, unlabelled, labelled)]
    division = Division(p_clean, *places)
    seen = []

    def targets(inputs, labels, p_clean_S, done):
        seen.append((inputs, labels, p_clean_S, done))
        hard = F.one_hot(labels, data.classes).float()
        return mixed_targets(hard.repeat(2, 1), torch.full((8, data.classes), 0.1), 3.0)

    return config, data, division, seen, MixedBatches(data, config, division, targets, "0")


def test_a_mixed_batch_leans_towards_its_own_rows():
    config, data, division, seen, batches = batches_of([0, 1, 2, 3, 4, 5], [6, 7, 8])
    steps = list(batches.epoch(0, with_meta=True))
    assert len(steps) == steps_of(division, config) == 2  # the last batch is filled up
    for (inputs, targets), meta in steps:
        assert inputs.shape[0] == targets.shape[0] == 16
        assert targets[:8, -1].eq(-1).all()
        assert targets[8:, -1].eq(3).all()
        assert targets[:, :-1].sum(dim=1).tolist() == pytest.approx([1.0] * 16, abs=1e-5)
        assert (targets[:8, :-1].max(dim=1).values >= 0.5).all()
        assert meta is not None
        assert meta[1].sum(dim=1).tolist() == pytest.approx([1.0] * 4, abs=1e-5)
    _, labels, p_clean, done = seen[1]
    assert done == 0.5
    assert set(p_clean.tolist()) <= set(torch.tensor(division.p_clean_N[:6]).float().tolist())
    assert set(labels.tolist()) <= set(data.train.labels[:6].tolist())


def test_two_views_of_an_example_differ_and_the_draw_repeats():
    _, _, _, seen, batches = batches_of([0, 1, 2, 3], [6, 7, 8, 9])
    first = list(batches.epoch(3, with_meta=False))
    again = list(batches.epoch(3, with_meta=False))
    assert torch.equal(first[0][0][0], again[0][0][0])
    views = seen[0][0]
    assert not torch.equal(views[:4], views[4:8])


class OwnHead(torch.nn.Module):
    """A weight an example that begins at zero and is kept in [0, 1]: all that a head may offer."""

    vanishes = True
    per_example = True

    def __init__(self, count: int) -> None:
        super().__init__()
        self.weights_B = torch.nn.Parameter(torch.zeros(count))

    def forward(self, logits_BC: torch.Tensor, targets: torch.Tensor) -> torch.Tensor:
        return torch.dot(self.weights_B, MixedLoss()(logits_BC, targets))

    def project(self) -> None:
        with torch.no_grad():
            self.weights_B.clamp_(0, 1)


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("prior", [0.0, 0.7])
def test_a_head_of_ones_own_keeps_what_it_offers_on_mixed_batches(prior):
    """With the prior the loss no longer vanishes at theta: the virtual step goes somewhere."""
    torch.manual_seed(0)
    model, head = torch.nn.Linear(3, CLASSES), MixedHead(OwnHead(6), prior)
    assert head.per_example
    assert head.vanishes == (prior == 0)
    given = torch.softmax(torch.randn(6, CLASSES), dim=1)
    train = torch.randn(6, 3), mixed_targets(given[:3], given[3:], 2.0)
    meta = torch.randn(4, 3), torch.tensor([0, 1, 2, 3])
    found = [
        meta_gradient(model, head, train, meta, lookahead_lr=0.5, engine=engine)
        for engine in ("jvp", "double_backward")
    ]
    for name, grad in found[1].head_grads.items():
        torch.testing.assert_close(found[0].head_grads[name], grad, rtol=1e-9, atol=1e-12)
        assert grad.abs().sum() > 0
    with torch.no_grad():
        head.head.weights_B.fill_(3.0)
    head.project()
    assert head.head.weights_B.tolist() == [1.0] * 6
