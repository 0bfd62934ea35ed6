from __future__ import annotations

import pytest
import torch
from torch import nn

from famus_ray.config.schema import OptimiserConfig
from famus_ray.training.optimiser import Descent, build_optimiser

pytestmark = pytest.mark.usefixtures("float64")


def network() -> nn.Module:
    torch.manual_seed(0)
    return nn.Sequential(nn.Linear(5, 4), nn.Tanh(), nn.Linear(4, 3))


def take(model: nn.Module, optimiser: Descent, rows: slice) -> None:
    generator = torch.Generator().manual_seed(1)
    x, y = torch.randn(24, 5, generator=generator), torch.randint(3, (24,), generator=generator)
    optimiser.zero_grad()
    nn.functional.cross_entropy(model(x[rows]), y[rows]).backward()
    optimiser.step()


def weights(model: nn.Module) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in model.parameters()])


def test_accumulated_small_batches_equal_a_large_one():
    small, large = network(), network()
    config = OptimiserConfig(lr=0.5, accumulate=3)
    optimiser = build_optimiser(small, config)
    whole = build_optimiser(large, config.model_copy(update={"accumulate": 1}))
    before = weights(small)
    for i in range(6):
        take(small, optimiser, slice(4 * i, 4 * i + 4))
        assert torch.equal(weights(small), before) == (i < 2)
    for i in range(2):
        take(large, whole, slice(12 * i, 12 * i + 12))
    assert torch.allclose(weights(small), weights(large), rtol=1e-9, atol=1e-12)


def test_a_checkpoint_may_fall_between_two_moves():
    config = OptimiserConfig(lr=0.5, accumulate=2)
    through, first = network(), network()
    optimiser = build_optimiser(through, config)
    for i in range(4):
        take(through, optimiser, slice(6 * i, 6 * i + 6))

    begun = build_optimiser(first, config)
    for i in range(3):
        take(first, begun, slice(6 * i, 6 * i + 6))
    second = network()
    second.load_state_dict(first.state_dict())
    resumed = build_optimiser(second, config)
    resumed.load_state_dict(begun.state_dict())
    take(second, resumed, slice(18, 24))
    assert torch.equal(weights(second), weights(through))


def test_a_long_gradient_is_clipped():
    model = network()
    config = OptimiserConfig(lr=1.0, momentum=0, weight_decay=0, clip_norm=1e-3)
    optimiser = build_optimiser(model, config)
    before = weights(model)
    take(model, optimiser, slice(24))
    assert (weights(model) - before).norm().item() == pytest.approx(
        1e-3, rel=1e-4
    )  # torch adds 1e-6 to the length
