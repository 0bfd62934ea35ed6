"""Parameters that are read where the virtual step cannot put others in their place."""

from __future__ import annotations

import pytest
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from famus_ray.meta import CrossFit, LearnedWeights, meta_gradient

CLASSES = 4
ENGINES = ("jvp", "double_backward", "finite_difference")


class Aside(nn.Module):
    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.hidden = nn.Linear(48, 8)
        self.last = nn.Linear(8, CLASSES)
        weight = self.hidden.weight
        self.kept = [weight]
        self.through = lambda x: F.linear(x, weight)
        self.view = weight.view(8, 48)
        self.__dict__["own"] = weight
        self.frozen = [nn.Parameter(torch.ones(8), requires_grad=False)]

    def weight(self) -> Tensor:
        return {
            "list": self.kept[0],
            "view": self.view,
            "own attribute": self.__dict__["own"],
            "registered": self.hidden.weight,
        }[self.kind]

    def forward(self, x: Tensor) -> Tensor:
        x = x.flatten(1)
        hidden = self.through(x) if self.kind == "closure" else F.linear(x, self.weight())
        return self.last(torch.tanh(hidden + self.hidden.bias) * self.frozen[0])


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("kind", ["list", "view", "own attribute", "closure"])
def test_it_is_named(batches, kind, engine):
    torch.manual_seed(0)
    net = Aside(kind)
    pair = batches(6, torch.float32, seed=3, size=4)
    for judges in (pair[1], CrossFit()):
        with pytest.raises(ValueError, match=r"hidden\.weight"):
            meta_gradient(net, LearnedWeights(), pair[0], judges, lookahead_lr=0.1, engine=engine)
    meta_gradient(Aside("registered"), LearnedWeights(), *pair, lookahead_lr=0.1, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_meta_loss_may_read_the_parameters_and_gets_the_virtual_ones(batches, engine):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, CLASSES)).double()
    train, meta = batches(6, torch.float64, seed=3, size=4)
    head = LearnedWeights().double()

    def penalised(logits: Tensor, targets: Tensor) -> Tensor:
        return F.cross_entropy(logits, targets) + sum(p.square().sum() for p in net.parameters())

    found = meta_gradient(
        net, head, train, meta, lookahead_lr=0.1, meta_loss=penalised, engine=engine
    )
    names, parameters = zip(*net.named_parameters(), strict=True)
    grads = torch.autograd.grad(head(net(train[0]), train[1]), parameters, create_graph=True)
    moved = [p.detach() - 0.1 * g for p, g in zip(parameters, grads, strict=True)]
    loss = F.cross_entropy(
        torch.func.functional_call(net, dict(zip(names, moved, strict=True)), (meta[0],)), meta[1]
    ) + sum(p.square().sum() for p in moved)
    expected = torch.autograd.grad(loss, list(head.parameters()))
    for mine, right in zip(found.head_grads.values(), expected, strict=True):
        assert torch.allclose(mine, right, rtol=1e-5, atol=1e-9)


@pytest.mark.parametrize("engine", ["jvp", "finite_difference"])
def test_a_head_that_reads_the_network_is_refused_where_it_would_not_be_seen(batches, engine):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, CLASSES))
    weights = LearnedWeights()

    class Decaying(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.weights = weights
            self.rate = nn.Parameter(torch.tensor(0.1))

        def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
            return self.weights(logits, targets) + self.rate * net[1].weight.square().sum()

    pair = batches(6, torch.float32, seed=3, size=4)
    with pytest.raises(ValueError, match=r"head: .*1\.weight"):
        meta_gradient(net, Decaying(), *pair, lookahead_lr=0.1, engine=engine)
