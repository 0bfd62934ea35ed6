from __future__ import annotations

import pytest
import torch

import famus_ray
from famus_ray.meta import LearnedWeights, meta_gradient
from famus_ray.models.layer_groups import layer_groups
from famus_ray.models.preact_resnet import PreActResNet
from famus_ray.models.precision import in_bfloat16


def network() -> torch.nn.Module:
    torch.manual_seed(0)
    return PreActResNet(4, 3, (1, 1), (8, 8))


def batch(seed: int) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(seed)
    x = torch.randn(16, 3, 8, 8, generator=generator)
    return x, torch.randint(4, (16,), generator=generator)


def test_bfloat16_gives_nearly_the_same_meta_gradient_in_float32():
    found = {}
    head = LearnedWeights()
    for name in ("float32", "bfloat16"):
        net = network() if name == "float32" else in_bfloat16(network())
        groups = layer_groups(net, "layer", "layer2")
        result = meta_gradient(net, head, batch(1), batch(2), lookahead_lr=0.3, groups=groups)
        found[name] = torch.cat([g.flatten() for g in result.head_grads.values()])
        assert result.logits_BC.dtype == found[name].dtype == torch.float32
    error = (found["bfloat16"] - found["float32"]).norm() / found["float32"].norm()
    assert 0 < error < 0.1


def test_the_region_ends_with_the_call_and_when_it_fails():
    net = in_bfloat16(network())
    with pytest.raises(RuntimeError):
        net(torch.zeros(1, 5, 8, 8))
    assert not torch.is_autocast_enabled("cpu")
    assert net(batch(1)[0]).dtype == torch.float32
    assert not torch.is_autocast_enabled("cpu")


def test_channels_last_changes_no_number_that_matters():
    """Learned weights and gates read gradients in another memory order."""
    found = []
    for order in (torch.contiguous_format, torch.channels_last):
        net = network().double().to(memory_format=order)
        (x, y), (mx, my) = batch(1), batch(2)
        groups = layer_groups(net, "layer", "layer2")
        result = meta_gradient(
            net, LearnedWeights().double(), (x.double(), y), (mx.double(), my),
            lookahead_lr=0.3, groups=groups,
        )  # fmt: skip
        found.append(result.gate_grads_G)
    assert (found[0] - found[1]).norm() <= 1e-9 * found[0].norm()


def test_a_run_learns_in_bfloat16_and_channels_last(tmp_path):
    result = famus_ray.train(
        "digits", "run.precision=bfloat16", "run.channels_last=true", "optimiser.clip_norm=5",
        "model.widths=[8,16,32]", "schedule.epochs=3", "run.threads=1", "noise=none",
        f"run.root={tmp_path}",
    )  # fmt: skip
    curves = famus_ray.load_curves(result.path)
    top1 = curves.query("metric == 'test/top1'").sort_values("epoch").value
    assert top1.iloc[-1] > 0.5
