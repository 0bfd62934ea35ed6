"""Every head, engine, grouping and sampler on every kind of network, against three oracles:
double backward, finite differences of the whole bilevel objective, and torch.func."""

from __future__ import annotations

import copy
import re
import warnings
from collections.abc import Callable, Iterator
from itertools import product

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call, grad
from torch.nn.attention import SDPBackend, sdpa_kernel

from famus_ray.meta import FixedGates, LearnedGates, LearnedWeights, MetaGradient, meta_gradient
from famus_ray.meta.gates import GateSampler, RandomGates
from famus_ray.meta.heads import ExampleWeights, TransitionMatrix
from famus_ray.models.layer_groups import LayerGroups, layer_groups
from famus_ray.models.preact_resnet import PreActResNet

CLASSES, COUNT, LR = 3, 5, 0.2
STEP = 1e-5  # of finite differences: small, for the kinks of ReLUs
GROUPINGS = ("tensor", "layer", "block", "stage", "patterns")
SAMPLERS = ("learned", "all", "fixed", "random")
Batch = tuple[Tensor, Tensor]


class SoftLabels(nn.Module):
    """No weighting: the label mixed with the network's own prediction, class by class."""

    def __init__(self) -> None:
        super().__init__()
        self.trust = nn.Parameter(torch.randn(CLASSES))

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        share = self.trust[targets].sigmoid().unsqueeze(1)
        given = F.one_hot(targets, CLASSES).to(logits.dtype)
        return F.cross_entropy(logits, share * given + (1 - share) * logits.detach().softmax(dim=1))


HEADS: dict[str, Callable[[], nn.Module]] = {
    "learned weights": LearnedWeights,
    "example weights": lambda: ExampleWeights(torch.zeros(COUNT)),
    "transition matrix": lambda: TransitionMatrix(CLASSES),
    "soft labels": SoftLabels,
}


class Tokens(nn.Module):
    """An embedding whose matrix is the output layer's, too, between linear layers and a norm."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(CLASSES, 6)
        self.hidden = nn.Linear(6, 6)
        self.norm = nn.LayerNorm(6)

    def forward(self, tokens: Tensor) -> Tensor:
        hidden = torch.tanh(self.hidden(self.embed(tokens).mean(dim=1)))
        return self.norm(hidden) @ self.embed.weight.T


class SharedAndFrozen(nn.Module):
    """One block called twice, a frozen layer between, and buffers: one read, one that moves."""

    def __init__(self) -> None:
        super().__init__()
        self.stem = nn.Linear(12, 6)
        self.block = nn.Sequential(nn.Linear(6, 6), nn.Tanh())
        self.frozen = nn.Linear(6, 6).requires_grad_(False)
        self.classifier = nn.Linear(6, CLASSES)
        self.register_buffer("scale", torch.linspace(0.5, 1.5, 6))
        self.register_buffer("calls", torch.zeros(()))

    def forward(self, x: Tensor) -> Tensor:
        self.calls.add_(1)
        x = self.block(self.stem(x.flatten(1)) * self.scale)
        return self.classifier(self.block(self.frozen(x)))


def vit() -> nn.Module:
    net = timm.create_model(
        "vit_tiny_patch16_224", img_size=4, patch_size=2, embed_dim=6, depth=1, num_heads=2,
        num_classes=CLASSES,
    )  # fmt: skip
    for p in net.parameters():  # timm's are so small that a norm of six numbers is all curvature
        nn.init.normal_(p, std=0.4)
    return net


NETWORKS: dict[str, tuple[Callable[[], nn.Module], tuple[int, ...]]] = {
    "convolution, BatchNorm": (lambda: PreActResNet(CLASSES, 3, (1, 1), (3, 4)), (3, 4, 4)),
    "GroupNorm": (lambda: PreActResNet(CLASSES, 3, (1, 1), (4, 4), "group"), (3, 4, 4)),
    "linear": (
        lambda: nn.Sequential(
            nn.Flatten(), nn.Linear(12, 5), nn.ReLU(), nn.Linear(5, 5), nn.Linear(5, CLASSES)
        ),
        (3, 2, 2),
    ),
    "embedding, LayerNorm, tied weights": (Tokens, (4,)),
    "shared module, frozen parameters, buffers": (SharedAndFrozen, (3, 2, 2)),
    "attention": (vit, (3, 4, 4)),
}


def made(name: str) -> tuple[nn.Module, Batch, Batch]:
    """A network in double precision, a train and a meta batch."""
    torch.manual_seed(0)
    build, shape = NETWORKS[name]
    net = build().double()

    def batch() -> Batch:
        inputs = torch.randn(COUNT, *shape, dtype=torch.float64)
        if "embedding" in name:
            inputs = torch.randint(CLASSES, (COUNT, *shape))
        return inputs, torch.randint(CLASSES, (COUNT,))

    return net, batch(), batch()


def grouped(net: nn.Module, grouping: str) -> LayerGroups:
    if grouping != "patterns":
        return layer_groups(net, grouping, "all")
    names = [n for n, p in net.named_parameters() if p.requires_grad]
    return layer_groups(net, [re.escape(names[1]), re.escape(names[-1]), "weight"])


def sampled(kind: str, groups: LayerGroups, net: nn.Module) -> GateSampler:
    """Draws alike each time that it is made."""
    count = len(groups.gated)
    generator = torch.Generator().manual_seed(3)
    if kind == "random":
        return RandomGates(max(1, count // 2), torch.device("cpu"), generator)
    if kind == "learned":
        torch.manual_seed(4)
        shapes = {n: p.shape for n, p in net.named_parameters()}
        return LearnedGates(groups.gated, shapes, hidden=4, generator=generator).double()
    gates = torch.ones(count) if kind == "all" else torch.arange(count).remainder(2)
    return FixedGates(gates.double())


def answers(
    net: nn.Module, head: nn.Module, train: Batch, meta: Batch, grouping: str, sampler: str
) -> Iterator[MetaGradient]:
    """By jvp, by finite_difference, and by the definition, each from the same start."""
    groups = grouped(net, grouping)
    for engine in ("jvp", "finite_difference", "double_backward"):
        yield meta_gradient(
            copy.deepcopy(net), head, train, meta, lookahead_lr=LR, groups=groups,
            gates=sampled(sampler, groups, net), engine=engine,
        )  # fmt: skip


def flat(grads: dict[str, Tensor]) -> Tensor:
    return torch.cat([g.flatten() for g in grads.values()])


@pytest.mark.parametrize("name", NETWORKS)
def test_the_engines_agree_with_the_definition(name):
    net, train, meta = made(name)
    for kind, grouping, sampler in product(HEADS, GROUPINGS, SAMPLERS):
        head = HEADS[kind]().double()
        with warnings.catch_warnings():
            warnings.simplefilter("error", UserWarning)  # no network here needs the fallback
            jvp, difference, oracle = answers(net, head, train, meta, grouping, sampler)
        where = (kind, grouping, sampler)
        exact = flat(oracle.head_grads)
        scale = exact.norm().item()
        assert (flat(jvp.head_grads) - exact).norm() <= 1e-9 * scale + 1e-14, where
        assert (flat(difference.head_grads) - exact).norm() <= 1e-5 * scale + 1e-10, where
        assert torch.equal(jvp.gates_G, oracle.gates_G), where
        for found in (jvp, difference):
            assert torch.allclose(found.gate_grads_G, oracle.gate_grads_G, rtol=1e-9, atol=1e-13), (
                where
            )
        if sampler == "all":
            assert scale > 1e-7, where


def moved_by(
    net: nn.Module, head: nn.Module, train: Batch
) -> tuple[dict[str, Tensor], dict[str, Tensor]]:
    """The trainable parameters, and each one's training gradient."""
    parameters = {n: p for n, p in net.named_parameters() if p.requires_grad}
    loss = head(functional_call(net, fresh_buffers(net), (train[0],)), train[1])
    grads = torch.autograd.grad(loss, list(parameters.values()), materialize_grads=True)
    return parameters, dict(zip(parameters, grads, strict=True))


def fresh_buffers(net: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in net.named_buffers()}


@pytest.mark.parametrize("name", NETWORKS)
def test_finite_differences_of_the_whole_objective(name):
    """Perturb theta, redo the step, look at the meta loss. Under a closed gate the step stays."""
    net, train, meta = made(name)
    for kind, sampler in product(HEADS, ("all", "fixed")):
        head = HEADS[kind]().double()
        groups = grouped(net, "layer")
        gates = sampled(sampler, groups, net)
        found = meta_gradient(
            copy.deepcopy(net), head, train, meta, lookahead_lr=LR, groups=groups, gates=gates
        )
        open_names = {
            n for g, r in zip(groups.gated, gates.gates_G, strict=True) if r for n in g.parameters
        }
        _, grads_before = moved_by(net, head, train)
        theta = list(head.parameters())
        torch.manual_seed(5)
        # Half along the gradient, half at random: neither nearly zero nor blind to the rest.
        along, aside = flat(found.head_grads), torch.randn_like(flat(found.head_grads))
        unit = (along / along.norm() + aside / aside.norm()) / 2
        direction = unit.split([p.numel() for p in theta])

        def meta_loss(step, theta=theta, direction=direction, head=head,
                      before=grads_before, names=open_names) -> float:  # fmt: skip
            with torch.no_grad():
                for p, d in zip(theta, direction, strict=True):
                    p.view(-1).add_(d, alpha=step)
            parameters, grads = moved_by(net, head, train)
            with torch.no_grad():
                for p, d in zip(theta, direction, strict=True):
                    p.view(-1).sub_(d, alpha=step)
                g = {n: grads[n] if n in names else before[n] for n in grads}
                moved = {n: p - LR * g[n] for n, p in parameters.items()}
                logits = functional_call(net, {**moved, **fresh_buffers(net)}, (meta[0],))
                return F.cross_entropy(logits, meta[1]).item()

        expected = (meta_loss(STEP) - meta_loss(-STEP)) / (2 * STEP)
        actual = torch.dot(along, unit).item()
        assert actual == pytest.approx(expected, rel=1e-5, abs=1e-10), (kind, sampler)


@pytest.mark.parametrize("name", NETWORKS)
def test_torch_func_differentiates_twice_to_the_same_number(name):
    net, train, meta = made(name)
    pure = torch.func.replace_all_batch_norm_modules_(copy.deepcopy(net))
    still = {n: p.detach() for n, p in pure.named_parameters() if not p.requires_grad}
    weights = {n: p.detach() for n, p in pure.named_parameters() if p.requires_grad}
    for kind, build in HEADS.items():
        head = build().double()

        def bilevel(theta, head=head):
            def train_loss(w):
                logits = functional_call(pure, {**w, **still, **fresh_buffers(pure)}, (train[0],))
                return functional_call(head, theta, (logits, train[1]))

            g = grad(train_loss)(weights)
            moved = {n: weights[n] - LR * g[n] for n in weights}
            logits = functional_call(pure, {**moved, **still, **fresh_buffers(pure)}, (meta[0],))
            return F.cross_entropy(logits, meta[1])

        with sdpa_kernel(SDPBackend.MATH):
            expected = flat(grad(bilevel)({n: p.detach() for n, p in head.named_parameters()}))
        found = meta_gradient(copy.deepcopy(net), head, train, meta, lookahead_lr=LR).head_grads
        assert (flat(found) - expected).norm() <= 1e-9 * expected.norm() + 1e-14, kind
