"""The meta gradient against its definition on any shape, gate pattern and scope, and what a call
leaves behind. Other networks and other oracles: test_replay and test_agreement."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from hypothesis import given, settings
from hypothesis import strategies as st
from torch import Tensor, nn

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


def flat(found: MetaGradient) -> Tensor:
    return torch.cat([g.flatten() for g in found.head_grads.values()])


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
def test_engines_agree_for_every_grouping_and_gate_pattern(
    batches, both_engines, difference, grouping, dtype, bound
):
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
            assert difference(jvp, oracle) <= bound, where
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
    batches,
    both_engines,
    seed,
    count,
    widths,
    norm,
    head_kind,
    grouping,
    gated_from,
    scope,
    lambda2,
    match_spread,
    data,
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
@pytest.mark.parametrize("scope", ["all", "tail"])
def test_the_finite_difference_engine_is_close(batches, difference, head_kind, scope):
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
    assert 0 < difference(*found) <= 1e-5


def test_example_weights_at_zero_give_the_gradient_of_each_example(batches):
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


def test_the_network_is_left_alone_and_its_statistics_move_once(batches):
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
    assert torch.equal(found.logits_BC.detach(), other(train[0]))


@pytest.mark.usefixtures("float64")
def test_the_shared_forward_gives_the_actual_gradient(batches, difference):
    torch.manual_seed(0)
    net, head = small_net(), LearnedWeights()
    train, meta = batches(8, torch.float64, seed=10)
    found = meta_gradient(net, head, train, meta, lookahead_lr=0.3)
    shared = torch.autograd.grad(head(found.logits_BC, train[1]), list(net.parameters()))
    fresh = torch.autograd.grad(head(net(train[0]), train[1]), list(net.parameters()))
    for a, b in zip(shared, fresh, strict=True):
        assert difference(a, b) <= 1e-9


@pytest.mark.parametrize(("key", "value"), [("engine", "magic"), ("scope", "head")])
def test_unknown_choices_are_named(batches, key, value):
    net = small_net()
    train, meta = batches(2, torch.float32, seed=0)
    with pytest.raises(ValueError, match=f"{key} = '{value}'"):
        meta_gradient(net, LearnedWeights(), train, meta, lookahead_lr=0.1, **{key: value})
