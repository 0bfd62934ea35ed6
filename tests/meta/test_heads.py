"""Every head's loss and derivatives against its formula in the paper, written with NumPy alone.

All engines share the heads, so no comparison of engines sees a mistake in one. The oracles
are loops in double precision; their derivatives are central differences. With steps of 1e-4 these
are exact to about h^2 = 1e-8 times a third derivative, and to rounding / h^2 = 2e-8 where a
derivative is mixed; the numbers here are of the order of 1.
"""

# Shapes: B examples, C classes.
from __future__ import annotations

import math

import numpy as np
import pytest
import torch
from torch import nn

from famus_ray.config import resolve
from famus_ray.meta import LearnedWeights, MeanCrossEntropy, meta_gradient
from famus_ray.meta.heads import ExampleWeights, TransitionMatrix, WeightNet, mean_cross_entropy
from famus_ray.meta.step import MetaStep
from famus_ray.methods import build_step
from famus_ray.methods.clidmu import CrossLayerDivergence
from famus_ray.methods.l2rw import positive_weights
from famus_ray.methods.losses import ClassLoss, MeanClassLoss
from famus_ray.methods.mixmatch import (
    HalvesWeights,
    MixedHead,
    MixedLoss,
    MixedMean,
    PriorMetaLoss,
    mixed_label_loss,
    mixed_targets,
    sharpen,
)
from famus_ray.training.two_networks import ConfidencePenalty

COUNT, CLASSES, HIDDEN = 6, 3, 4
STEP, BOUND = 1e-4, 1e-6
SIZES = (40, 9, 2)  # of the classes


def softmax(z):
    powers = [math.exp(x - max(z)) for x in z]
    return [p / sum(powers) for p in powers]


def cross(z, t):
    """-log softmax(z)_t, or its mean under the probabilities t."""
    p = softmax(z)
    return (
        -math.log(p[t]) if np.ndim(t) == 0 else -sum(t[c] * math.log(p[c]) for c in range(len(p)))
    )


def squared(p, t):
    return sum((a - b) ** 2 for a, b in zip(p, t, strict=True)) / len(p)


def mixed(z, t):
    """Cross-entropy where the last column is negative, else that weight times squared error."""
    return cross(z, t[:-1]) if t[-1] < 0 else t[-1] * squared(softmax(z), t[:-1])


def weight(loss, theta):
    """Psi: one hidden layer with ReLU, then a sigmoid."""
    w1, b1, w2, b2 = np.split(theta, [HIDDEN, 2 * HIDDEN, 3 * HIDDEN])
    out = b2[0] + sum(w2[h] * max(0.0, w1[h] * loss + b1[h]) for h in range(HIDDEN))
    return 1 / (1 + math.exp(-out))


def mean_of(loss):
    return lambda z, t, theta, z0: sum(loss(z[i], t[i]) for i in range(COUNT)) / COUNT


def learned_weights(loss):
    """Eq. 3: v = Psi(loss at z0) is no path to the logits, and sums to 1."""

    def total(z, t, theta, z0):
        v = [weight(loss(z0[i], t[i]), theta) for i in range(COUNT)]
        return sum(v[i] / sum(v) * loss(z[i], t[i]) for i in range(COUNT))

    return total


def half_weights(z, t, theta, z0):
    """The same, where each half of a mixed batch sums to 1/2."""
    found = 0.0
    for rows in (range(COUNT // 2), range(COUNT // 2, COUNT)):
        v = {i: weight(mixed(z0[i], t[i]), theta) for i in rows}
        found += sum(v[i] / sum(v.values()) / 2 * mixed(z[i], t[i]) for i in rows)
    return found


def example_weights(z, t, theta, z0):
    return sum(theta[i] * cross(z[i], t[i]) for i in range(COUNT))


def label_probabilities(z, theta):
    matrix, p = theta.reshape(CLASSES, CLASSES), softmax(z)
    return [sum(matrix[y, c] * p[c] for c in range(CLASSES)) for y in range(CLASSES)]


def transition(z, t, theta, z0):
    """-log (T p)_y: nothing makes T p sum to 1 but the columns of T."""
    return sum(-math.log(label_probabilities(z[i], theta)[t[i]]) for i in range(COUNT)) / COUNT


def mixed_transition(z, t, theta, z0):
    found = 0.0
    for i in range(COUNT):
        q = label_probabilities(z[i], theta)
        if t[i][-1] < 0:
            found -= sum(t[i][c] * math.log(q[c]) for c in range(CLASSES))
        else:
            found += t[i][-1] * squared(q, t[i][:-1])
    return found / COUNT


def ldam(z, y):
    """The label's logit lowered by max(margins) * (n_min / n_y)^(1/4), 0.5 of it being the largest;
    times the class's weight by effective numbers, whose mean over the classes is 1."""
    margins = [0.5 * (min(SIZES) / n) ** 0.25 for n in SIZES]
    lowered = [x - (margins[y] if c == y else 0.0) for c, x in enumerate(z)]
    return class_weight(y) * cross(lowered, y)


def class_weight(y):
    inverse = [(1 - 0.9) / (1 - 0.9**n) for n in SIZES]
    return inverse[y] * CLASSES / sum(inverse)


def mean_ldam(z, t, theta, z0):
    weights = sum(class_weight(t[i]) for i in range(COUNT))
    return sum(ldam(z[i], t[i]) for i in range(COUNT)) / weights


def prior(z):
    """KL(uniform || mean prediction)."""
    means = np.mean([softmax(row) for row in z], axis=0)
    return sum(math.log(1 / CLASSES / m) / CLASSES for m in means)


def with_prior(head):
    return lambda z, t, theta, z0: 2 * head(z, t, theta, z0) + 0.7 * prior(z)


def prior_meta(z, t, theta, z0):
    return mean_of(cross)(z, t, theta, z0) + 0.7 * prior(z)


def confident(z, t, theta, z0):
    entropy = sum(-p * math.log(p) for row in z for p in softmax(row)) / COUNT
    return mean_of(cross)(z, t, theta, z0) - entropy


FEATURES = np.random.default_rng(5).standard_normal((COUNT, 4))


def cosine(a, b):
    return sum(x * y for x, y in zip(a, b, strict=True)) / math.hypot(*a) / math.hypot(*b)


def divergence(z, t, theta, z0):
    """CLID-MU: cross-entropies between neighbourhoods by p and by features; the sums over
    neighbours of the first are constants to the gradient, those at z0."""
    p, p0, found = [softmax(row) for row in z], [softmax(row) for row in z0], 0.0
    for i in range(COUNT):
        near = softmax([max(cosine(FEATURES[i], FEATURES[j]), 0) / 0.5 for j in range(COUNT)])
        alike = sum(cosine(p0[i], p0[k]) for k in range(COUNT))
        found -= sum(cosine(p[i], p[j]) / alike * math.log(near[j]) for j in range(COUNT))
    return found / COUNT


class Divergence(nn.Module):
    """The meta loss of CLID-MU as a head, on given features."""

    def forward(self, logits, targets):
        loss = CrossLayerDivergence(0.5)
        loss.features = torch.tensor(FEATURES)
        return loss(logits, targets)


class MetaLoss(nn.Module):
    def __init__(self, loss):
        super().__init__()
        self.loss = loss

    def forward(self, logits, targets):
        return self.loss(logits, targets)


def class_loss():
    loss = ClassLoss(margin=0.5, reweight_from=0, beta=0.9)
    loss.begin_epoch(0, torch.tensor(SIZES))
    return loss


def net():
    return WeightNet(HIDDEN)


HARD, SOFT, HALVES = "labels", "probabilities", "halves"
CASES = {
    "cross-entropy": (MeanCrossEntropy, mean_of(cross), (HARD, SOFT)),
    "MW-Net, FaMUS": (lambda: LearnedWeights(net()), learned_weights(cross), (HARD, SOFT)),
    "MW-Net with LDAM": (
        lambda: LearnedWeights(net(), class_loss()), learned_weights(ldam), (HARD,)
    ),
    "MW-Net on halves": (
        lambda: LearnedWeights(net(), MixedLoss()), learned_weights(mixed), (HALVES,)
    ),
    "MW-Net by halves": (lambda: HalvesWeights(net(), MixedLoss()), half_weights, (HALVES,)),
    "L2RW": (lambda: ExampleWeights(torch.zeros(COUNT).double()), example_weights, (HARD, SOFT)),
    "MLC": (lambda: TransitionMatrix(CLASSES), transition, (HARD,)),
    "MLC on halves": (
        lambda: TransitionMatrix(CLASSES, label_loss=mixed_label_loss), mixed_transition, (HALVES,)
    ),
    "LDAM": (lambda: MeanClassLoss(class_loss()), mean_ldam, (HARD,)),
    "DivideMix": (MixedMean, mean_of(mixed), (HALVES,)),
    "DivideMix with prior": (
        lambda: MixedHead(MixedMean(), 0.7), with_prior(mean_of(mixed)), (HALVES,)
    ),
    "FaMUS with prior": (
        lambda: MixedHead(HalvesWeights(net(), MixedLoss()), 0.7), with_prior(half_weights),
        (HALVES,),
    ),
    "confidence penalty": (ConfidencePenalty, confident, (HARD,)),
    "meta loss with prior": (lambda: MetaLoss(PriorMetaLoss(0.7)), prior_meta, (HARD, SOFT)),
    "CLID-MU's meta loss": (Divergence, divergence, (HARD,)),
}  # fmt: skip


def targets_of(kind):
    torch.manual_seed(3)
    if kind == HARD:
        return torch.tensor([0, 2, 1, 1, 0, 2])
    rows = torch.randn(COUNT, CLASSES).double().softmax(1)
    return rows if kind == SOFT else mixed_targets(rows[:3], rows[3:], 2.5)


def case(name):
    torch.manual_seed(7)
    head = CASES[name][0]().double()
    with torch.no_grad():
        for parameter in head.parameters():
            parameter.add_(0.2 * torch.rand_like(parameter))  # a matrix whose columns sum to no 1
    return head, torch.randn(COUNT, CLASSES).double(), torch.randn(COUNT, CLASSES).double()


def difference(f, x):
    """Central differences of a scalar function by each entry of x."""
    found = np.zeros(x.size)
    for i in range(x.size):
        step = np.zeros(x.size)
        step[i] = STEP
        step = step.reshape(x.shape)
        found[i] = (f(x + step) - f(x - step)) / (2 * STEP)
    return found.reshape(x.shape)


@pytest.mark.parametrize(
    ("name", "kind"), [(name, k) for name, (_, _, kinds) in CASES.items() for k in kinds]
)
def test_a_head_is_its_formula_and_so_are_its_derivatives(name, kind):
    """The loss, its gradient by logits and theta, and the mixed derivative that engines need."""
    head, logits, tangent = case(name)
    oracle, targets = CASES[name][1], targets_of(kind)
    theta = [p for p in head.parameters() if p.requires_grad]
    t, z0, d = targets.numpy(), logits.numpy().copy(), tangent.numpy()
    flat = torch.cat([p.detach().flatten() for p in theta]).numpy() if theta else np.zeros(0)

    logits.requires_grad_()
    loss = head(logits, targets)
    (by_logits,) = torch.autograd.grad(loss, logits, create_graph=True)
    rounding = 1e-6 if "LDAM" in name else 1e-12  # margins and class weights are kept in float32
    assert loss.item() == pytest.approx(oracle(z0, t, flat, z0), abs=rounding)
    expected = difference(lambda z: oracle(z, t, flat, z0), z0)
    np.testing.assert_allclose(by_logits.detach().numpy(), expected, atol=BOUND)
    if not theta:
        return
    found = torch.autograd.grad(head(logits, targets), theta)
    expected = difference(lambda x: oracle(z0, t, x, z0), flat)
    np.testing.assert_allclose(torch.cat([g.flatten() for g in found]), expected, atol=BOUND)

    def change(x):
        return (oracle(z0 + STEP * d, t, x, z0) - oracle(z0 - STEP * d, t, x, z0)) / (2 * STEP)

    pushed = torch.autograd.grad((by_logits * tangent).sum(), theta, allow_unused=True)
    assert all(p is not None for p in pushed)
    expected = difference(change, flat)
    np.testing.assert_allclose(torch.cat([g.flatten() for g in pushed]), expected, atol=1e-5)


def test_l2rw_keeps_what_lowers_the_meta_loss():
    found = positive_weights(torch.tensor([-3.0, 2.0, -1.0]).double())
    assert found.tolist() == [0.75, 0.0, 0.25]


def test_the_smallest_gradients_of_l2rw_still_sum_to_one():
    tiny = torch.finfo(torch.float32).tiny
    found = positive_weights(torch.tensor([-tiny / 4, -tiny / 4, 1.0]))
    assert found.tolist() == [0.5, 0.5, 0.0]
    assert positive_weights(torch.tensor([0.0, 1.0])).tolist() == [0.0, 0.0]


def virtual_step(kind, x, y, mx, my, matrix, theta, lr):
    """The meta loss after one step of a linear classifier on a head, with NumPy alone."""
    oracle = CASES[kind][1]
    z0 = x @ matrix
    by_logits = difference(lambda z: oracle(z, y, theta, z0), z0)
    moved = matrix - lr * x.T @ by_logits
    return sum(cross(row, label) for row, label in zip(mx @ moved, my, strict=True)) / len(my)


@pytest.mark.parametrize("engine", ["jvp", "double_backward", "finite_difference"])
@pytest.mark.parametrize("kind", ["MW-Net, FaMUS", "L2RW", "MLC"])
def test_the_meta_gradient_is_the_slope_of_the_whole_objective(kind, engine):
    head, x, mx = case(kind)
    if kind == "L2RW":
        nn.init.zeros_(head.eps_B)
    y, my = targets_of(HARD), targets_of(HARD).flip(0)
    net = nn.Linear(CLASSES, CLASSES, bias=False).double()
    found = meta_gradient(net, head, (x, y), (mx, my), lookahead_lr=0.5, engine=engine)
    theta = torch.cat([p.detach().flatten() for p in head.parameters()]).numpy()
    arrays = (x.numpy(), y.numpy(), mx.numpy(), my.numpy(), net.weight.detach().numpy().T)
    expected = difference(lambda t: virtual_step(kind, *arrays, t, 0.5), theta)
    flat = torch.cat([g.flatten() for g in found.head_grads.values()])
    np.testing.assert_allclose(flat, expected, atol=1e-5)


def test_every_column_of_a_projected_matrix_sums_to_one():
    head = TransitionMatrix(CLASSES)
    with torch.no_grad():
        head.matrix_CC.copy_(torch.tensor([[0.5, -1.0, 1e-30], [1.5, 0.0, 0.0], [-2.0, -3.0, 0.0]]))
    head.project()
    third = 1 / 3
    expected = torch.tensor([[0.25, third, 1.0], [0.75, third, 0.0], [0.0, third, 0.0]])
    torch.testing.assert_close(head.matrix_CC.data, expected)


def test_a_label_that_the_matrix_rules_out_costs_much_and_breaks_nothing():
    head = TransitionMatrix(2, stays=1.0)
    logits = torch.tensor([[200.0, -200.0]], requires_grad=True)
    loss = head(logits, torch.tensor([1]))
    (by_logits,) = torch.autograd.grad(loss, logits, create_graph=True)
    assert loss.item() == pytest.approx(-2 * math.log(torch.finfo(torch.float32).eps))
    (by_logits.sum() + loss).backward()
    assert head.matrix_CC.grad.isfinite().all()
    assert by_logits.isfinite().all()


FAINT = (-50.0, -60.0, -80.0, -87.5, -95.0, -102.0, -103.9, -150.0)  # exp(-104) is 0 in float32


def faint(head, bias):
    """Psi that gives about exp(bias) to every example."""
    with torch.no_grad():
        head.weight_net.output.weight.mul_(0.01)
        head.weight_net.output.bias.fill_(bias)
    return head


@pytest.mark.parametrize("kind", [LearnedWeights, HalvesWeights])
def test_weights_too_small_to_be_normalised_are_zero_and_all_derivatives_finite(kind):
    for bias in FAINT:
        torch.manual_seed(0)
        head = faint(kind(WeightNet(HIDDEN), MixedLoss()), bias)
        logits = (30 * torch.randn(COUNT, CLASSES)).requires_grad_()  # losses of many nats
        loss = head(logits, targets_of(HALVES).float())
        (by_logits,) = torch.autograd.grad(loss, logits, create_graph=True)
        (by_logits.sum() + loss).backward()
        assert by_logits.isfinite().all()
        assert all(parameter.grad.isfinite().all() for parameter in head.parameters()), bias
        assert (loss.item() == 0) == (bias < -56)  # tiny / eps^2 = exp(-55.4)


@pytest.mark.parametrize("engine", ["jvp", "double_backward"])
def test_faint_weights_give_a_finite_meta_gradient(engine):
    for bias in FAINT:
        torch.manual_seed(0)
        net, head = nn.Linear(3, CLASSES), faint(LearnedWeights(WeightNet(HIDDEN)), bias)
        batch = 30 * torch.randn(COUNT, 3), targets_of(HARD)
        found = meta_gradient(net, head, batch, batch, lookahead_lr=1.0, engine=engine)
        assert all(grad.isfinite().all() for grad in found.head_grads.values()), bias
        assert found.meta_loss.isfinite()


def test_a_step_with_faint_weights_leaves_the_network_finite():
    torch.manual_seed(0)
    net = nn.Sequential(nn.Linear(3, 4), nn.ReLU(), nn.Linear(4, CLASSES))
    step = build_step(resolve("digits", ["method=mwnet"]).config, net, CLASSES, torch.Generator())
    assert isinstance(step, MetaStep)
    faint(step.head, -150.0)
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    batch = 30 * torch.randn(COUNT, 3), targets_of(HARD)
    before = [p.detach().clone() for p in net.parameters()]
    metrics = step(net, optimiser, batch, batch)
    assert metrics["train/loss"] == 0
    torch.testing.assert_close(metrics["meta/loss"], mean_cross_entropy(net(batch[0]), batch[1]))
    for old, new in zip(before, net.parameters(), strict=True):
        assert torch.equal(old, new)  # no example counted
    assert all(p.isfinite().all() for p in step.head.parameters())


def test_sharpening_keeps_the_most_probable_class_at_any_temperature():
    flat = torch.full((1, 100), 0.01)
    torch.testing.assert_close(sharpen(flat, 0.01), flat)
    peaked = torch.tensor([[0.2, 0.3, 0.5]])
    torch.testing.assert_close(sharpen(peaked, 0.5), torch.tensor([[4 / 38, 9 / 38, 25 / 38]]))
