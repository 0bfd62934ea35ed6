"""Mistakes in a call of meta_gradient are named as such."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import nn

from famus_ray.meta import CrossFit, FixedGates, LearnedWeights, meta_gradient
from famus_ray.models.layer_groups import layer_groups


def network() -> nn.Module:
    return nn.Sequential(nn.Linear(5, 6), nn.ReLU(), nn.Linear(6, 3))


def batch(count: int = 6) -> tuple[torch.Tensor, torch.Tensor]:
    return torch.randn(count, 5), torch.randint(3, (count,))


class PerExample(nn.Module):
    def forward(self, logits, targets):
        return F.cross_entropy(logits, targets, reduction="none")


class Detached(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.temperature = nn.Parameter(torch.ones(()))

    def forward(self, logits, targets):
        share = torch.softmax(logits / self.temperature, dim=1).detach()[:, 0]
        return torch.dot(share, F.cross_entropy(logits, targets, reduction="none"))


class Noisy(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer, self.generator = nn.Linear(5, 3), torch.Generator()

    def forward(self, x):
        return self.layer(x) * torch.rand(len(x), 1, generator=self.generator)


class InDict(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.layer = nn.Linear(5, 3)

    def forward(self, x):
        return {"logits": self.layer(x)}


class NoFormula(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.bag = nn.EmbeddingBag(9, 3)

    def forward(self, x):
        return self.bag(x)


GROUPS = layer_groups(network(), "layer")
CASES = {
    "no meta batch": ({"meta_batch": None}, "meta_batch: must be a pair .*CrossFit.*not None"),
    "the class": ({"meta_batch": CrossFit}, "not the class CrossFit"),
    "a dict": ({"train_batch": ({}, torch.zeros(6))}, "train_batch: .*not a dict .*takes them"),
    "empty": ({"meta_batch": batch(0)}, "meta_batch: is empty"),
    "one row": ({"train_batch": batch(1), "meta_batch": CrossFit()}, "has one row"),
    "unused loss": ({"meta_batch": CrossFit(), "meta_loss": F.mse_loss}, "meta_loss: CrossFit"),
    "function": ({"head": F.cross_entropy}, "head: must be an nn.Module"),
    "vector": ({"head": PerExample()}, r"head: must give the loss as one number.*\(6,\)"),
    "meta vector": (
        {"meta_loss": lambda z, y: F.cross_entropy(z, y, reduction="none")},
        r"meta_loss: must give the loss as one number.*\(6,\)",
    ),
    "meta detached": ({"meta_loss": lambda z, y: z.detach().mean()}, "meta_loss: .*detached"),
    "no theta": ({"head": Detached()}, "does not depend on its parameters; detach the logits"),
    "rate": ({"lookahead_lr": float("nan")}, "lookahead_lr = nan: must be a number from 0 on"),
    "gates as tensor": ({"gates": torch.ones(2)}, "gates: must draw gates, as FixedGates"),
    "too few gates": ({"gates": FixedGates(torch.ones(1))}, r"gates: drew \(1,\) for 2 gated"),
    "groups by name": ({"groups": "layer"}, "groups: must come from layer_groups"),
    "other network": (
        {"groups": layer_groups(nn.Sequential(nn.Conv2d(1, 1, 1), nn.Linear(2, 2)))},
        "groups: 1.weight is no trainable parameter of this network",
    ),
    "logits in a dict": ({"model": InDict()}, "model: must give a tensor of logits, not a dict"),
    "own numbers": ({"model": Noisy()}, "random numbers from outside torch's global generator"),
    "no derivative": (
        {
            "model": NoFormula(),
            "train_batch": (torch.randint(9, (6, 2)), torch.randint(3, (6,))),
            "meta_batch": (torch.randint(9, (6, 2)), torch.randint(3, (6,))),
        },
        "try engine='finite_difference'",
    ),
}


@pytest.mark.filterwarnings("ignore:.*no forward-mode formula")
@pytest.mark.parametrize("case", CASES)
def test_a_mistake_is_named(case):
    torch.manual_seed(0)
    changed, message = CASES[case]
    call = {
        "model": network(), "head": LearnedWeights(), "train_batch": batch(),
        "meta_batch": batch(), "lookahead_lr": 0.1,
    }  # fmt: skip
    with pytest.raises(ValueError, match=message):
        meta_gradient(**(call | changed))


def test_where_gradients_are_off_it_is_said():
    with torch.no_grad(), pytest.raises(ValueError, match="gradients are switched off"):
        meta_gradient(network(), LearnedWeights(), batch(), batch(), lookahead_lr=0.1)


@pytest.mark.parametrize("share", [0, -1.0, 2.0])
def test_a_share_is_a_share(share):
    with pytest.raises(ValueError, match=r"clean_share = .*must be above 0 and at most 1"):
        CrossFit(share)


def test_frozen_parts_of_a_head_stay_out():
    head = LearnedWeights()
    head.weight_net.hidden.requires_grad_(False)
    found = meta_gradient(network(), head, batch(), batch(), lookahead_lr=0.1)
    assert set(found.head_grads) == {"weight_net.output.weight", "weight_net.output.bias"}
    assert found.head_grads["weight_net.output.bias"].abs() > 0


def test_gates_take_the_precision_of_the_network():
    net, head = network().double(), LearnedWeights().double()
    train, meta = ((x.double(), y) for x, y in (batch(), batch()))
    found = [
        meta_gradient(net, head, train, meta, lookahead_lr=0.1, gates=gates).head_grads
        for gates in (None, FixedGates(torch.ones(2)))
    ]
    assert all(torch.equal(found[0][name], found[1][name]) for name in found[0])
