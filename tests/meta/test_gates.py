from __future__ import annotations

import pytest
import torch
from torch import nn

from famus_ray.meta.gates import LearnedGates, pooled_size, sparsity_loss
from famus_ray.meta.variations import RELEASED, variations_of
from famus_ray.models.layer_groups import layer_groups
from famus_ray.models.preact_resnet import PreActResNet


def gates_of(net: nn.Module, seed: int = 0, **kw) -> tuple[LearnedGates, object, dict]:
    groups = layer_groups(net, "layer", "last_stage")
    grads = {n: torch.randn_like(p) for n, p in net.named_parameters()}
    shapes = {n: p.shape for n, p in net.named_parameters()}
    generator = torch.Generator().manual_seed(seed)
    return LearnedGates(groups.gated, shapes, generator=generator, **kw), groups, grads


@pytest.mark.parametrize("fidelity", ["paper", "released"])
def test_gates_are_zero_or_one_and_every_gate_network_gets_a_gradient(fidelity):
    torch.manual_seed(0)
    gates, groups, grads = gates_of(
        PreActResNet(4, 3, (1, 1), (4, 6)), variations=variations_of(fidelity)
    )
    drawn = torch.stack([gates(groups.gated, grads) for _ in range(50)])
    assert set(drawn.flatten().tolist()) == {0.0, 1.0}
    gates(groups.gated, grads).sum().backward()
    assert all(p.grad is not None and p.grad.abs().sum() > 0 for p in gates.networks.parameters())


def test_the_same_generator_draws_the_same_gates():
    torch.manual_seed(0)
    gates, groups, grads = gates_of(PreActResNet(4, 3, (1, 1), (4, 6)))
    first = [gates(groups.gated, grads).tolist() for _ in range(20)]
    gates.generator.manual_seed(0)
    assert [gates(groups.gated, grads).tolist() for _ in range(20)] == first
    gates.generator.manual_seed(1)
    assert [gates(groups.gated, grads).tolist() for _ in range(20)] != first


def test_the_released_code_keeps_the_classifier_open():
    torch.manual_seed(0)
    net = PreActResNet(4, 3, (1, 1), (4, 6))
    gates, groups, grads = gates_of(
        net, variations=RELEASED, always_open=("linear.weight", "linear.bias")
    )
    drawn = torch.stack([gates(groups.gated, grads) for _ in range(50)])
    assert groups.gated[-1].name == "linear"
    assert drawn[:, -1].eq(1).all()
    assert drawn[:, :-1].eq(0).any()


def test_sparsity_counts_the_open_gates():
    assert sparsity_loss(torch.tensor([1.0, 1.0, 0.0, 1.0]), 4).item() == 1.0


def test_the_last_learned_gate_is_below_the_classifier_in_the_released_code():
    net = PreActResNet(4, 3, (1, 1), (4, 6))
    gates, groups, _ = gates_of(
        net, variations=RELEASED, always_open=("linear.weight", "linear.bias")
    )
    assert gates.last_learned == len(groups.gated) - 2
    assert gates_of(net)[0].last_learned == len(groups.gated) - 1


def test_pooled_size_counts_first_dimensions():
    groups = layer_groups(nn.Sequential(nn.Linear(3, 5), nn.ReLU(), nn.Linear(5, 2)), "layer")
    shapes = {"0.weight": torch.Size([5, 3]), "0.bias": torch.Size([5])}
    assert pooled_size(groups.gated[0], shapes) == 10
