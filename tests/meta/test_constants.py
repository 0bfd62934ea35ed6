"""What a forward takes for constants, and hooks on its gradients: every engine follows."""

from __future__ import annotations

import copy
import warnings

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from famus_ray.meta import CrossFit, LearnedWeights, meta_gradient
from famus_ray.meta.heads import ExampleWeights
from famus_ray.models.layer_groups import layer_groups

CLASSES, LR = 4, 0.5


class Round(torch.autograd.Function):
    """Rounds to quarters; its gradient passes straight through."""

    @staticmethod
    def forward(ctx, x):
        return (x * 4).round() / 4

    @staticmethod
    def backward(ctx, grad_output):
        return grad_output


class RoundAndSays(Round):
    """With a forward mode that is not the transpose of its backward."""

    @staticmethod
    def jvp(ctx, tangent):
        return 0.5 * tangent


class Net(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.first = nn.Linear(48, 8)
        self.middle = nn.Linear(8, 8)
        self.last = nn.Linear(8, CLASSES)
        self.register_buffer("mean", torch.zeros(8))
        if kind == "parameter hook":
            self.middle.weight.register_hook(lambda g: g.clamp(-0.01, 0.01))
        if kind == "module hook":
            self.middle.register_full_backward_hook(lambda m, gi, go: (gi[0] * 0.5,))
        if kind == "module pre-hook":
            self.middle.register_full_backward_pre_hook(lambda m, go: (go[0] * 0.5,))

    def forward(self, x: Tensor) -> Tensor:
        hidden = torch.tanh(self.first(x.flatten(1)))
        if self.kind in ("no_grad", "inference"):
            off = torch.no_grad if self.kind == "no_grad" else torch.inference_mode
            with off():
                scale = hidden.abs().amax(dim=0) + 0.1
            hidden = hidden / scale.clone()
        if self.kind == "layer under no_grad":
            with torch.no_grad():
                gate = torch.sigmoid(self.middle(hidden))
            hidden = hidden * gate
        if self.kind == "decorated":
            hidden = hidden - self.level(hidden)
        if self.kind == "moving average":
            with torch.no_grad():
                self.mean.mul_(0.9).add_(0.1 * hidden.mean(dim=0))
            hidden = hidden - self.mean
        if self.kind == "detached":
            hidden = hidden / (hidden.detach().abs().amax(dim=0) + 0.1)
        if self.kind == "data":
            hidden = hidden / (hidden.data.abs().amax(dim=0) + 0.1)
        if self.kind == "a number":
            hidden = hidden / (hidden.abs().max().item() + 0.1)
        if self.kind == "function":
            hidden = Round.apply(hidden)
        if self.kind == "function with a jvp of its own":
            hidden = RoundAndSays.apply(hidden)
        if self.kind == "tensor hook" and hidden.requires_grad:
            hidden.register_hook(lambda g: 3 * g * g.abs())
        if self.kind == "node hook" and hidden.grad_fn is not None:
            hidden.grad_fn.register_prehook(lambda g: (-g[0],))
        weight = self.middle.weight
        if self.kind == "quantised weight":
            with torch.no_grad():
                offset = (weight * 8).round() / 8 - weight
            weight = weight + offset
        hidden = torch.tanh(F.linear(hidden, weight, self.middle.bias))
        return self.last(hidden)

    @torch.no_grad()
    def level(self, hidden: Tensor) -> Tensor:
        with torch.enable_grad():
            hidden = 2 * hidden  # of a constant
        return hidden.mean(dim=0)


BY_ITS_GRADIENT = (
    "no_grad", "inference", "layer under no_grad", "decorated", "moving average", "detached",
    "data", "a number", "quantised weight",
)  # fmt: skip
BY_REVERSE = (
    "function", "function with a jvp of its own", "tensor hook", "node hook", "parameter hook",
    "module hook", "module pre-hook",
)  # fmt: skip


def by_hand(net: Net, head: nn.Module, train, meta) -> Tensor:
    """d L_meta / d theta, differentiated through the step by torch alone."""
    names, parameters = zip(*net.named_parameters(), strict=True)
    mean = {"mean": net.mean.clone()}  # the meta forward finds it as the train forward left it
    loss = head(functional_call(net, mean, (train[0],)), train[1])
    grads = torch.autograd.grad(loss, parameters, create_graph=True, materialize_grads=True)
    moved = {n: p - LR * g for n, p, g in zip(names, parameters, grads, strict=True)}
    meta_loss = F.cross_entropy(
        functional_call(net, {**moved, "mean": mean["mean"].clone()}, (meta[0],)), meta[1]
    )
    found = torch.autograd.grad(meta_loss, list(head.parameters()))
    return torch.cat([g.flatten() for g in found])


def made(kind: str, batches) -> tuple[Net, tuple, tuple]:
    torch.manual_seed(0)
    net = Net(kind).double()
    return net, *batches(6, torch.float64, seed=3, size=4)


def flat(found) -> Tensor:
    return torch.cat([g.flatten() for g in found.head_grads.values()])


@pytest.mark.parametrize("engine", ["jvp", "double_backward"])
@pytest.mark.parametrize("head", ["learned weights", "example weights"])
@pytest.mark.parametrize("kind", BY_ITS_GRADIENT)
def test_constants_of_the_forward_are_constants(batches, kind, head, engine):
    net, train, meta = made(kind, batches)
    head = (
        LearnedWeights() if head == "learned weights" else ExampleWeights(torch.zeros(6))
    ).double()
    expected = by_hand(net, head, train, meta)
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)  # forward mode serves, without a fallback
        found = meta_gradient(net, head, train, meta, lookahead_lr=LR, engine=engine)
    assert (flat(found) - expected).norm() <= 1e-9 * expected.norm()


@pytest.fixture
def anew(monkeypatch):
    """Each warning is given as if it were the first."""
    monkeypatch.setattr("famus_ray.meta.tangent._warned", set())


@pytest.mark.parametrize("kind", BY_REVERSE)
def test_gradients_that_are_not_the_forwards_are_followed_with_one_warning(batches, kind, anew):
    net, train, meta = made(kind, batches)
    head = LearnedWeights().double()
    expected = by_hand(net, head, train, meta)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        for _ in range(2):
            found = meta_gradient(net, head, train, meta, lookahead_lr=LR)
    assert (flat(found) - expected).norm() <= 1e-9 * expected.norm()
    assert sum("two reverse passes" in str(w.message) for w in caught) == 1
    definition = meta_gradient(net, head, train, meta, lookahead_lr=LR, engine="double_backward")
    assert (flat(definition) - expected).norm() <= 1e-9 * expected.norm()


@pytest.mark.parametrize("kind", [*BY_ITS_GRADIENT, *BY_REVERSE])
def test_differences_are_not_taken_of_what_the_gradient_does_not_see(batches, kind, anew):
    net, train, meta = made(kind, batches)
    head = LearnedWeights().double()
    expected = by_hand(net, head, train, meta)
    with pytest.warns(UserWarning, match="two reverse passes"):
        found = meta_gradient(net, head, train, meta, lookahead_lr=LR, engine="finite_difference")
    assert (flat(found) - expected).norm() <= 1e-9 * expected.norm()


@pytest.mark.parametrize("kind", ["layer under no_grad", "detached"])
def test_rows_that_judge_see_the_constants_of_the_virtual_weights(batches, kind):
    """A layer that no gradient reaches still gives other numbers after the virtual step."""
    net, train, _ = made(kind, batches)
    for p in net.middle.parameters():
        p.requires_grad_(False)
    groups = layer_groups(net, "layer", "all")
    head = LearnedWeights().double()
    found = []
    for scope, engine in (("all", "double_backward"), ("tail", "jvp"), ("tail", "double_backward")):
        one = copy.deepcopy(net)
        found.append(
            meta_gradient(
                one, head, train, CrossFit(), lookahead_lr=LR,
                groups=groups, scope=scope, engine=engine,
            )
        )  # fmt: skip
    for other in found[1:]:
        assert other.meta_loss.item() == pytest.approx(found[0].meta_loss.item(), rel=1e-12)
