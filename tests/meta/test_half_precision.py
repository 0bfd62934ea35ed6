"""Engines under bfloat16: differences drown in its rounding, tangents and checks do not."""

from __future__ import annotations

import warnings

import pytest
import timm
import torch
from torch import nn

from famus_ray.config import resolve
from famus_ray.errors import UserError
from famus_ray.meta import LearnedWeights, meta_gradient
from famus_ray.models.preact_resnet import PreActResNet
from famus_ray.models.precision import in_bfloat16

CLASSES = 4


@pytest.mark.parametrize("halve", [in_bfloat16, lambda net: net.bfloat16(), lambda net: net.half()])
def test_differences_of_half_precision_are_refused(batches, halve):
    torch.manual_seed(0)
    net = halve(nn.Sequential(nn.Flatten(), nn.Linear(48, 8), nn.Tanh(), nn.Linear(8, CLASSES)))
    dtype = next(net.parameters()).dtype
    pair = batches(6, dtype, seed=3, size=4)
    head = LearnedWeights().to(dtype)
    with pytest.raises(ValueError, match="half precision"):
        meta_gradient(net, head, *pair, lookahead_lr=0.1, engine="finite_difference")


def test_they_are_refused_before_a_run_begins():
    with pytest.raises(UserError, match=r"meta\.engine = finite_difference: .*bfloat16"):
        resolve("digits", ("meta.engine=finite_difference", "run.precision=bfloat16"))
    resolve("digits", ("meta.engine=finite_difference",))
    resolve("digits", ("method=ce", "meta.engine=jvp", "run.precision=bfloat16"))


TIMM = ("test_resnet", "test_vit", "test_convnext", "test_efficientnet", "test_nfnet")
HONEST = {
    "preact": lambda: PreActResNet(CLASSES, 3, (1, 1, 1), (8, 8, 16)),
    **{name: lambda name=name: timm.create_model(name, num_classes=CLASSES) for name in TIMM},
}


# Of the larger ones bfloat16 takes a CPU without units for it half a minute.
SMALL = ("preact", "test_vit", "test_efficientnet")


@pytest.mark.parametrize(
    ("name", "precision"),
    [*((name, "float32") for name in HONEST), *((name, "bfloat16") for name in SMALL)],
)
def test_honest_networks_are_not_suspected(batches, name, precision):
    """In either precision, fresh and after the weights have grown."""
    torch.manual_seed(0)
    net = HONEST[name]()
    size = getattr(net, "default_cfg", {}).get("input_size", (3, 32, 32))[-1]
    pair = batches(8, torch.float32, seed=3, size=size)
    wrapped = in_bfloat16(net) if precision == "bfloat16" else net
    engines = ("jvp",) if precision == "bfloat16" else ("jvp", "finite_difference")
    with warnings.catch_warnings():
        warnings.simplefilter("error", UserWarning)
        for engine in engines:
            meta_gradient(wrapped, LearnedWeights(), *pair, lookahead_lr=0.1, engine=engine)
        with torch.no_grad():
            for p in net.parameters():
                p.mul_(1.5).add_(0.05 * torch.randn_like(p))
        meta_gradient(wrapped, LearnedWeights(), *pair, lookahead_lr=0.1)
