"""Networks that make a recorded forward hard to replay, and operators without forward mode."""

from __future__ import annotations

import random
import warnings

import pytest
import timm
import torch
import torchvision
from torch import Tensor, nn

from famus_ray.meta import FixedGates, LearnedWeights, meta_gradient
from famus_ray.models.layer_groups import layer_groups

CLASSES = 4


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
def test_the_replay_is_exact_where_it_is_hard(batches, both_engines, difference, kind):
    torch.manual_seed(0)
    net = Awkward(kind).double()
    before = dict(net.named_parameters(remove_duplicate=False))
    pair = batches(6, torch.float64, seed=12)
    for gated_from in ("all", "layer"):
        jvp, oracle = both_engines(
            net, LearnedWeights().double(), pair, groups=layer_groups(net, "layer", gated_from)
        )
        assert difference(jvp, oracle) <= 1e-9, gated_from
    after = dict(net.named_parameters(remove_duplicate=False))
    assert all(after[name] is before[name] for name in before), "a parameter was exchanged"


def test_a_network_that_changes_its_inputs_is_refused(batches):
    class InPlace(nn.Module):
        def __init__(self) -> None:
            super().__init__()
            self.linear = nn.Linear(48, CLASSES)

        def forward(self, x: Tensor) -> Tensor:
            return self.linear(x.sub_(0.5).flatten(1))

    pair = batches(4, torch.float32, seed=13, size=4)
    with pytest.raises(ValueError, match="in place"):
        meta_gradient(InPlace(), LearnedWeights(), *pair, lookahead_lr=0.1)


class Fickle(nn.Module):
    """Does something else at every pass over the same batch, unknown to torch's generator."""

    def __init__(self, kind: str) -> None:
        super().__init__()
        self.kind = kind
        self.own = torch.Generator().manual_seed(0)
        self.python = random.Random(0)
        self.passes = 0
        self.first = nn.Linear(48, 16)
        self.middle = nn.ModuleList(nn.Linear(16, 16) for _ in range(8))
        self.last = nn.Linear(16, CLASSES)

    def noise(self, x: Tensor) -> Tensor:
        return x + 0.03 * torch.randn(x.shape, generator=self.own)

    def forward(self, x: Tensor) -> Tensor:
        self.passes += 1
        x = x.flatten(1)
        x = self.noise(x) if self.kind == "noisy inputs" else x
        hidden = torch.tanh(self.first(x))
        for layer in self.middle:
            if self.kind != "skipped layers" or self.python.random() < 0.5:
                hidden = hidden + torch.tanh(layer(hidden))
        hidden = self.noise(hidden) if self.kind == "noisy features" else hidden
        scale = 1 + 0.1 * self.passes if self.kind == "a counter" else 1
        return self.last(hidden * scale)


@pytest.mark.parametrize("kind", ["noisy inputs", "skipped layers", "noisy features", "a counter"])
@pytest.mark.parametrize("engine", ["jvp", "finite_difference"])
def test_a_network_that_does_not_repeat_itself_is_refused(batches, kind, engine):
    pair = batches(8, torch.float32, seed=14, size=4)
    torch.manual_seed(0)
    with pytest.raises(ValueError, match="does not do the same when the same batch"):
        meta_gradient(Fickle(kind), LearnedWeights(), *pair, lookahead_lr=0.1, engine=engine)
    steady = Fickle("none of these")
    meta_gradient(steady, LearnedWeights(), *pair, lookahead_lr=0.1, engine=engine)


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
def test_any_module(batches, both_engines, difference, name):
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
            gates=FixedGates(torch.arange(len(groups.gated)) % 2 == 0), last_layer_weight=0.1,
        )  # fmt: skip
        assert difference(jvp, oracle) <= 1e-8, gated_from
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
def test_operator_without_forward_mode_falls_back_with_one_warning(
    batches, both_engines, difference, module, named
):
    torch.manual_seed(0)
    net = nn.Sequential(nn.Flatten(), nn.Linear(48, 8), module, nn.Linear(8, CLASSES)).double()
    pair = batches(5, torch.float64, seed=8, size=4)
    with warnings.catch_warnings(record=True) as caught:
        warnings.simplefilter("always")
        jvp, oracle = both_engines(net, LearnedWeights().double(), pair)
        both_engines(net, LearnedWeights().double(), pair)
    assert difference(jvp, oracle) <= 1e-9
    ours = [w for w in caught if "forward-mode" in str(w.message)]
    assert len(ours) == 1
    assert named in str(ours[0].message)
