"""The meta gradient against its definition, three ways: double backward, finite differences of
the whole bilevel objective, and torch.func's own double differentiation."""

from __future__ import annotations

import itertools
import warnings

import pytest
import timm
import torch
import torch.nn.functional as F
import torchvision
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn
from torch.func import functional_call, grad

from famus_ray.meta import FixedGates, LearnedWeights, MetaGradient, meta_gradient
from famus_ray.meta.heads import ExampleWeights, TransitionMatrix
from famus_ray.models.layer_groups import LayerGroups, layer_groups
from famus_ray.models.preact_resnet import PreActResNet

GROUPINGS = ("tensor", "layer", "block", "stage")
CLASSES = 4
Batch = tuple[Tensor, Tensor]


class SoftTargets(nn.Module):
    """A head that is no weighting: it mixes the label with a learned class prior."""

    def __init__(self) -> None:
        super().__init__()
        self.prior = nn.Parameter(torch.randn(CLASSES))
        self.share = nn.Parameter(torch.tensor(-1.0))

    def forward(self, logits: Tensor, targets: Tensor) -> Tensor:
        share = torch.sigmoid(self.share)
        hard = F.one_hot(targets, CLASSES).to(logits.dtype)
        return F.cross_entropy(logits, (1 - share) * hard + share * self.prior.softmax(0))


HEADS = [LearnedWeights, SoftTargets, lambda: TransitionMatrix(CLASSES)]


def small_net(norm: str = "batch", widths: tuple[int, ...] = (4, 6)) -> nn.Module:
    return PreActResNet(CLASSES, 3, (1,) * len(widths), widths, norm)


def batches(count: int, dtype: torch.dtype, seed: int, size: int = 8) -> tuple[Batch, Batch]:
    generator = torch.Generator().manual_seed(seed)

    def one() -> Batch:
        images = torch.randn(count, 3, size, size, generator=generator, dtype=dtype)
        return images, torch.randint(CLASSES, (count,), generator=generator)

    return one(), one()


def difference(a: Tensor, b: Tensor) -> float:
    scale = b.norm().item()
    return (a - b).norm().item() / scale if scale > 1e-12 else (a - b).norm().item()


def flat(found: MetaGradient) -> Tensor:
    return torch.cat([g.flatten() for g in found.head_grads.values()])


def both_engines(
    net: nn.Module, head: nn.Module, pair: tuple[Batch, Batch], **kw
) -> list[MetaGradient]:
    state = {k: v.clone() for k, v in net.state_dict().items()}
    found = []
    for engine in ("jvp", "double_backward"):
        net.load_state_dict(state)
        torch.manual_seed(1)
        found.append(meta_gradient(net, head, *pair, lookahead_lr=0.3, engine=engine, **kw))
    return found


def pattern(kind: str, groups: LayerGroups, dtype: torch.dtype) -> FixedGates:
    count = len(groups.gated)
    gates = {
        "none": torch.zeros(count),
        "some": torch.tensor([float(i % 2 == 0) for i in range(count)]),
        "all": torch.ones(count),
    }
    return FixedGates(gates[kind].to(dtype))


@pytest.mark.parametrize(("dtype", "bound"), [(torch.float64, 1e-9), (torch.float32, 1e-4)])
@pytest.mark.parametrize("grouping", GROUPINGS)
def test_engines_agree_for_every_grouping_and_gate_pattern(grouping, dtype, bound):
    torch.manual_seed(0)
    net, head = small_net().to(dtype), LearnedWeights().to(dtype)
    cases = itertools.product(("all", "last_stage"), ("none", "some", "all"), (0.0, 0.1))
    for gated_from, kind, lambda2 in cases:
        groups = layer_groups(net, grouping, gated_from)
        for scope in ("all", "tail"):
            jvp, oracle = both_engines(
                net, head, batches(6, dtype, seed=3), groups=groups, scope=scope,
                gates=pattern(kind, groups, dtype), last_layer_weight=lambda2,
            )  # fmt: skip
            where = (grouping, gated_from, kind, lambda2, scope)
            assert difference(flat(jvp), flat(oracle)) <= bound, where
            assert difference(jvp.gate_grads_G, oracle.gate_grads_G) <= bound, where
            if kind == "none" and not lambda2:
                assert flat(jvp).abs().max() == 0, where
            else:
                assert flat(jvp).abs().max() > 0, where


@settings(max_examples=40, deadline=None)
@given(
    seed=st.integers(0, 2**16),
    count=st.integers(2, 7),
    widths=st.lists(st.integers(2, 6), min_size=1, max_size=3).map(tuple),
    norm=st.sampled_from(["batch", "group"]),
    head_kind=st.sampled_from(HEADS),
    grouping=st.sampled_from(GROUPINGS),
    gated_from=st.sampled_from(["all", "last_stage"]),
    scope=st.sampled_from(["all", "tail"]),
    lambda2=st.sampled_from([0.0, 0.5]),
    match_spread=st.booleans(),
    data=st.data(),
)
def test_engines_agree_on_any_shape_head_and_pattern(
    seed, count, widths, norm, head_kind, grouping, gated_from, scope, lambda2, match_spread, data
):
    torch.manual_seed(seed)
    net, head = small_net(norm, widths).double(), head_kind().double()
    groups = layer_groups(net, grouping, gated_from)
    size = len(groups.gated)
    gates = data.draw(st.lists(st.sampled_from([0.0, 1.0]), min_size=size, max_size=size))
    jvp, oracle = both_engines(
        net, head, batches(count, torch.float64, seed), groups=groups, scope=scope,
        gates=FixedGates(torch.tensor(gates, dtype=torch.float64)),
        last_layer_weight=lambda2, match_spread=match_spread,
    )  # fmt: skip
    # Where BatchNorm leaves next to no gradient, what remains is rounding.
    scale = max(flat(oracle).norm().item(), 1e-8)
    assert (flat(jvp) - flat(oracle)).norm().item() <= 1e-9 * scale + 1e-15
    assert torch.allclose(jvp.gate_grads_G, oracle.gate_grads_G, rtol=1e-9, atol=1e-14)


@pytest.mark.parametrize("head_kind", HEADS)
def test_finite_differences_of_the_whole_bilevel_objective(head_kind):
    """Perturb theta, redo the virtual step, look at the meta loss."""
    torch.manual_seed(0)
    net, head = small_net().double(), head_kind().double()
    train, meta = batches(8, torch.float64, seed=5)
    found = meta_gradient(net, head, train, meta, lookahead_lr=0.3)
    parameters = dict(net.named_parameters())

    def meta_loss() -> float:
        loss = head(functional_call(net, fresh_buffers(net), (train[0],)), train[1])
        grads = torch.autograd.grad(loss, list(parameters.values()))
        moved = {n: p - 0.3 * g for (n, p), g in zip(parameters.items(), grads, strict=True)}
        logits = functional_call(net, {**moved, **fresh_buffers(net)}, (meta[0],))
        return F.cross_entropy(logits, meta[1]).item()

    for name, parameter in head.named_parameters():
        index = int(found.head_grads[name].abs().flatten().argmax())
        entry = parameter.detach().view(-1)
        before, step, losses = entry[index].item(), 1e-4, []
        for factor in (1, -1):
            with torch.no_grad():
                entry[index] = before + factor * step
            losses.append(meta_loss())
        with torch.no_grad():
            entry[index] = before
        expected = (losses[0] - losses[1]) / (2 * step)
        actual = found.head_grads[name].flatten()[index].item()
        assert actual == pytest.approx(expected, rel=1e-5, abs=1e-10), name


def fresh_buffers(net: nn.Module) -> dict[str, Tensor]:
    return {name: buffer.clone() for name, buffer in net.named_buffers()}


@pytest.mark.parametrize("head_kind", HEADS)
@pytest.mark.parametrize("scope", ["all", "tail"])
def test_the_finite_difference_engine_is_close(head_kind, scope):
    torch.manual_seed(0)
    net, head = small_net().double(), head_kind().double()
    state = {k: v.clone() for k, v in net.state_dict().items()}
    groups = layer_groups(net, "layer", "last_stage")
    found = []
    for engine in ("finite_difference", "double_backward"):
        net.load_state_dict(state)
        pair = batches(8, torch.float64, seed=5)
        rest = {"groups": groups, "scope": scope, "last_layer_weight": 0.1, "engine": engine}
        found.append(meta_gradient(net, head, *pair, lookahead_lr=0.3, **rest))
    assert 0 < difference(flat(found[0]), flat(found[1])) <= 1e-5


def test_example_weights_at_zero_give_the_gradient_of_each_example():
    """L2RW: at eps = 0 the meta gradient is -lr <grad of loss_i, grad of the meta loss>."""
    torch.manual_seed(0)
    net = small_net("group").double()
    train, meta = batches(5, torch.float64, seed=11)
    found = meta_gradient(net, ExampleWeights(train[0]), train, meta, lookahead_lr=0.3)
    parameters = list(net.parameters())
    u = torch.autograd.grad(F.cross_entropy(net(meta[0]), meta[1]), parameters)
    losses = F.cross_entropy(net(train[0]), train[1], reduction="none")
    for i in range(5):
        g = torch.autograd.grad(losses[i], parameters, retain_graph=True)
        expected = -0.3 * sum((a * b).sum() for a, b in zip(u, g, strict=True))
        assert found.head_grads["eps_B"][i].item() == pytest.approx(expected.item(), rel=1e-9)


def test_torch_func_double_differentiation_gives_the_same_number():
    torch.manual_seed(0)
    net, head = small_net("group").double(), LearnedWeights().double()
    train, meta = batches(6, torch.float64, seed=6)
    weights = {n: p.detach() for n, p in net.named_parameters()}
    theta = {n: p.detach() for n, p in head.named_parameters()}

    def train_loss(w, t):
        return functional_call(head, t, (functional_call(net, w, (train[0],)), train[1]))

    def bilevel(t):
        g = grad(train_loss)(weights, t)
        moved = {n: weights[n] - 0.3 * g[n] for n in weights}
        return F.cross_entropy(functional_call(net, moved, (meta[0],)), meta[1])

    expected = grad(bilevel)(theta)
    found = meta_gradient(net, head, train, meta, lookahead_lr=0.3).head_grads
    for name in theta:
        assert difference(found[name], expected[name]) <= 1e-9, name


class Tied(nn.Module):
    """Embedding and output layer share one matrix; there is a frozen layer, too."""

    def __init__(self) -> None:
        super().__init__()
        self.embed = nn.Embedding(CLASSES, 12)
        self.first = nn.Linear(3 * 8 * 8, 12)
        self.frozen = nn.Linear(12, 12).requires_grad_(False)
        self.norm = nn.LayerNorm(12)

    def forward(self, x: Tensor) -> Tensor:
        hidden = self.norm(self.frozen(torch.tanh(self.first(x.flatten(1)))))
        again = self.norm(torch.relu(hidden))  # one module, called twice
        return again @ self.embed.weight.T


class Awkward(nn.Module):
    """A trunk and a tail that do what makes a recorded forward hard to replay."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        conv = WeightDoubled if kind == "convolution of its own" else nn.Conv2d
        self.trunk = Block(conv(3, 4, 3))
        self.layer = Block(nn.Conv2d(4, 4, 1, stride=1))
        self.frozen = TakesList().requires_grad_(False)
        self.linear = nn.Linear(4, CLASSES)
        if kind == "shared part":
            self.layer.shared = self.trunk.shared = nn.Conv2d(4, 4, 1)
        if kind == "two names":
            self.alias = self.layer
        if kind == "hook":
            self.trunk.register_forward_hook(lambda module, args, output: output * 1.5 + 0.1)
        if kind == "spectral norm":
            nn.utils.parametrizations.spectral_norm(self.layer.conv)

    def forward(self, x: Tensor) -> Tensor:
        x = self.layer(self.trunk(x))
        if self.kind == "list":
            x = self.frozen([x, x.tanh()])
        if self.kind == "kept in an attribute":
            x = x + self.trunk.kept.mean()
        return self.linear(x.mean(dim=(2, 3)))


class Block(nn.Module):
    def __init__(self, conv: nn.Module) -> None:
        super().__init__()
        self.conv = conv
        self.norm = nn.BatchNorm2d(4)
        self.shared: nn.Module = nn.Identity()

    def forward(self, x: Tensor) -> Tensor:
        self.kept = torch.relu(self.shared(self.norm(self.conv(x))))
        return self.kept


class TakesList(nn.Module):
    def __init__(self) -> None:
        super().__init__()
        self.conv = nn.Conv2d(8, 4, 1)

    def forward(self, parts: list[Tensor]) -> Tensor:
        return self.conv(torch.cat(parts, dim=1))


class WeightDoubled(nn.Conv2d):
    def _conv_forward(self, x: Tensor, weight: Tensor, bias: Tensor | None) -> Tensor:
        return super()._conv_forward(x, 2 * weight.square(), bias)


AWKWARD = (
    "shared part", "two names", "hook", "spectral norm", "list", "kept in an attribute",
    "convolution of its own",
)  # fmt: skip


@pytest.mark.filterwarnings("ignore:.*forward-mode formula")
@pytest.mark.parametrize("kind", AWKWARD)
def test_the_replay_is_exact_where_it_is_hard(kind):
    torch.manual_seed(0)
    net = Awkward(kind).double()
    before = dict(net.named_parameters(remove_duplicate=False))
    pair = batches(6, torch.float64, seed=12)
    for gated_from in ("all", "layer"):
        jvp, oracle = both_engines(
            net, LearnedWeights().double(), pair, groups=layer_groups(net, "layer", gated_from)
        )
        assert difference(flat(jvp), flat(oracle)) <= 1e-9, gated_from
    after = dict(net.named_parameters(remove_duplicate=False))
    assert all(after[name] is before[name] for name in before), "a parameter was exchanged"


def test_a_network_that_changes_its_inputs_is_refused():
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(48, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x.sub_(0.5).flatten(1))

    pair = batches(4, torch.float32, seed=13, size=4)
    with pytest.raises(ValueError, match="in place"):
        meta_gradient(InPlace(), LearnedWeights(), *pair, lookahead_lr=0.1)


NETWORKS = {
    "torchvision resnet18, in-place ReLU and addition": lambda: torchvision.models.resnet18(
        num_classes=CLASSES
    ),
    "timm vit, attention and LayerNorm": lambda: timm.create_model(
        "vit_tiny_patch16_224", img_size=16, patch_size=8, embed_dim=24, depth=2, num_heads=2,
        num_classes=CLASSES,
    ),
    "timm convnext": lambda: timm.create_model(
        "convnext_atto", num_classes=CLASSES, depths=(1, 1, 1, 1), dims=(8, 8, 12, 12)
    ),
    "tied weights, frozen layer, module called twice": Tied,
    "dropout": lambda: nn.Sequential(
        nn.Conv2d(3, 6, 3), nn.ReLU(), nn.Dropout(0.4), nn.Flatten(), nn.LazyLinear(CLASSES)
    ),
}  # fmt: skip


@pytest.mark.parametrize("name", NETWORKS)
def test_any_module(name):
    torch.manual_seed(0)
    net = NETWORKS[name]()
    pair = batches(5, torch.float64, seed=7, size=32 if "conv" in name or "resnet" in name else 16)
    if name.startswith("tied"):
        pair = batches(5, torch.float64, seed=7, size=8)
    net = net.double()
    net(pair[0][0])
    for gated_from in ("all", "last_stage"):
        groups = layer_groups(net, "layer", gated_from)
        jvp, oracle = both_engines(
            net, LearnedWeights().double(), pair, groups=groups,
            gates=pattern("some", groups, torch.float64), last_layer_weight=0.1,
        )  # fmt: skip
        assert difference(flat(jvp), flat(oracle)) <= 1e-8, gated_from
        assert torch.allclose(jvp.gate_grads_G, oracle.gate_grads_G, rtol=1e-8, atol=1e-13)


class NoForwardMode(torch.autograd.Function):
    @staticmethod
    def forward(ctx, x):
        ctx.save_for_backward(x)
        return x.sin()

    @staticmethod
    def backward(ctx, grad_output):
        (x,) = ctx.saved_tensors
        return grad_output * x.cos()


class Sine(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return NoForwardMode.apply(x)


class Distances(nn.Module):
    def forward(self, x: Tensor) -> Tensor:
        return torch.cdist(x, torch.linspace(-1, 1, 64, dtype=x.dtype).view(8, 8))


@pytest.mark.parametrize(("module", "named"), [(Sine(), "Sine"), (Distances(), "_cdist_forward")])
def test_operator_without_forward_mode_falls_back_with_one_warning(module, named):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), module, nn.Linear(8, CLASSES)).double()
    pair = batches(5, torch.float64, seed=8, size=4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        jvp, oracle = both_engines(net, LearnedWeights().double(), pair)
        both_engines(net, LearnedWeights().double(), pair)
    assert difference(flat(jvp), flat(oracle)) <= 1e-9
    ours = [w for w in caught if "forward-mode" in str(w.message)]
    assert len(ours) == 1
    assert named in str(ours[0].message)


def test_the_network_is_left_alone_and_its_statistics_move_once():
    torch.manual_seed(0)
    net, other = small_net(), small_net()
    other.load_state_dict(net.state_dict())
    train, meta = batches(8, torch.float32, seed=9)
    before = [p.clone() for p in net.parameters()]
    found = meta_gradient(net, LearnedWeights(), train, meta, lookahead_lr=0.3)
    other(train[0])  # what one plain forward does to the statistics
    for (name, mine), theirs in zip(net.named_buffers(), other.buffers(), strict=True):
        assert torch.equal(mine, theirs), name
    assert all(map(torch.equal, net.parameters(), before))
    assert all(p.grad is None for p in net.parameters())
    assert not any("forward" in m.__dict__ or m._forward_hooks for m in net.modules())
    assert torch.equal(found.logits_BC.detach(), other_logits(net, other, train))


def other_logits(net: nn.Module, other: nn.Module, train: Batch) -> Tensor:
    return other(train[0]).detach()


def test_the_shared_forward_gives_the_actual_gradient():
    torch.manual_seed(0)
    net, head = small_net(), LearnedWeights()
    train, meta = batches(8, torch.float32, seed=10)
    found = meta_gradient(net, head, train, meta, lookahead_lr=0.3)
    shared = torch.autograd.grad(head(found.logits_BC, train[1]), list(net.parameters()))
    fresh = torch.autograd.grad(head(net(train[0]), train[1]), list(net.parameters()))
    for a, b in zip(shared, fresh, strict=True):
        assert difference(a, b) <= 1e-5


@pytest.mark.parametrize(("key", "value"), [("engine", "magic"), ("scope", "head")])
def test_unknown_choices_are_named(key, value):
    net = small_net()
    train, meta = batches(2, torch.float32, seed=0)
    with pytest.raises(ValueError, match=f"{key} = '{value}'"):
        meta_gradient(net, LearnedWeights(), train, meta, lookahead_lr=0.1, **{key: value})
