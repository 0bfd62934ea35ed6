"""Networks that forget activations and compute them again in the backward."""

from __future__ import annotations

import copy
from functools import partial

import pytest
import timm
import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call
from torch.utils.checkpoint import checkpoint

from famus_ray.meta import CrossFit, LearnedWeights, meta_gradient
from famus_ray.meta.gates import FixedGates
from famus_ray.meta.step import MetaStep
from famus_ray.models.layer_groups import layer_groups

CLASSES, LR, STEP = 4, 0.3, 1e-5
ENGINES = ("jvp", "double_backward", "finite_difference")


class Forgetful(nn.Module):
    """Blocks, of which all but the first and the last are computed again in the backward."""

    def __init__(self, norm: bool, dropout: float = 0.0) -> None:
        super().__init__()
        self.stem = nn.Conv2d(3, 4, 3, padding=1)
        self.blocks = nn.ModuleList(
            nn.Sequential(
                nn.Conv2d(4, 4, 3, padding=1),
                nn.BatchNorm2d(4) if norm else nn.Identity(),
                nn.Dropout(dropout),
                nn.Tanh(),
            )
            for _ in range(2)
        )
        self.classifier = nn.Linear(4, CLASSES)
        self.use_reentrant: bool | None = False  # None: keep the activations

    def forward(self, x: Tensor) -> Tensor:
        x = self.stem(x)
        for block in self.blocks:
            if self.use_reentrant is None:
                x = block(x)
            else:
                x = checkpoint(block, x, use_reentrant=self.use_reentrant)
        return self.classifier(x.mean(dim=(2, 3)))


def keeping(net: nn.Module) -> nn.Module:
    """The same network without checkpoints."""
    twin = copy.deepcopy(net)
    if isinstance(net, Forgetful):
        twin.use_reentrant = None
    else:
        twin.set_grad_checkpointing(False)
    return twin


def vit() -> nn.Module:
    net = timm.create_model(
        "vit_tiny_patch16_224", img_size=8, patch_size=4, embed_dim=8, depth=2, num_heads=2,
        num_classes=CLASSES,
    )  # fmt: skip
    net.set_grad_checkpointing(True)
    for p in net.parameters():
        nn.init.normal_(p, std=0.3)
    return net


def resnet() -> nn.Module:
    net = timm.create_model("test_resnet", num_classes=CLASSES)
    net.set_grad_checkpointing(True)
    return net


NETWORKS = {
    "plain": lambda: Forgetful(norm=False),
    "BatchNorm": lambda: Forgetful(norm=True),
    "timm vit": vit,
    "timm resnet": resnet,
}


def slope_of_the_objective(net, head, train, meta, names, direction) -> float:
    """The central difference of the whole objective in theta."""
    theta = list(head.parameters())
    parameters = dict(net.named_parameters())

    def buffers() -> dict[str, Tensor]:
        return {n: b.clone() for n, b in net.named_buffers()}

    def objective(step: float) -> float:
        with torch.no_grad():
            for p, d in zip(theta, direction, strict=True):
                p.add_(d, alpha=step)
        loss = head(functional_call(net, buffers(), (train[0],)), train[1])
        grads = torch.autograd.grad(loss, [parameters[n] for n in names])
        with torch.no_grad():
            for p, d in zip(theta, direction, strict=True):
                p.sub_(d, alpha=step)
            moved = {n: parameters[n] - LR * g for n, g in zip(names, grads, strict=True)}
            logits = functional_call(net, {**moved, **buffers()}, (meta[0],))
            return F.cross_entropy(logits, meta[1]).item()

    return (objective(STEP) - objective(-STEP)) / (2 * STEP)


@pytest.mark.parametrize("scope", ["all", "tail"])
@pytest.mark.parametrize("name", NETWORKS)
def test_the_gradient_is_that_of_the_objective(batches, name, scope):
    torch.manual_seed(0)
    net = NETWORKS[name]().double()
    size = 32 if name == "timm resnet" else 8
    train, meta = batches(6, torch.float64, seed=3, size=size)
    head = LearnedWeights().double()
    groups = layer_groups(net, "layer", "all" if scope == "all" else "last_stage")
    names = [n for n, _ in net.named_parameters()] if scope == "all" else groups.gated_parameters
    for engine in ENGINES:
        found = meta_gradient(
            copy.deepcopy(net), head, train, meta, lookahead_lr=LR, groups=groups, scope=scope,
            engine=engine,
        ).head_grads  # fmt: skip
        length = torch.cat([g.flatten() for g in found.values()]).norm()
        direction = [found[n] / length for n, _ in head.named_parameters()]
        expected = slope_of_the_objective(keeping(net), head, train, meta, names, direction)
        kinks = 1e-3 if engine == "finite_difference" else 1e-5  # of ReLUs that it steps over
        assert length.item() == pytest.approx(expected, rel=kinks), engine


@pytest.mark.parametrize("judges", ["clean batch", "the batch itself"])
@pytest.mark.parametrize("engine", ENGINES)
def test_all_is_found_that_is_found_without_checkpoints(batches, difference, engine, judges):
    """Gates, L_g, dropout and rows that judge, too; running statistics move once."""
    torch.manual_seed(0)
    net = Forgetful(norm=True, dropout=0.2).double()
    train, meta = batches(8, torch.float64, seed=4)
    head = LearnedWeights().double()
    found, statistics = [], []
    for one in (copy.deepcopy(net), keeping(net)):
        groups = layer_groups(one, "layer", "blocks.1")
        gates = FixedGates(torch.arange(len(groups.gated)).remainder(2).double())
        torch.manual_seed(1)
        found.append(
            meta_gradient(
                one, head, train, meta if judges == "clean batch" else CrossFit(),
                lookahead_lr=LR, groups=groups, gates=gates, last_layer_weight=0.1,
                scope="tail", engine=engine,
            )
        )  # fmt: skip
        statistics.append({n: b.clone() for n, b in one.named_buffers()})
    assert difference(found[0], found[1]) <= (1e-5 if engine == "finite_difference" else 1e-9)
    assert torch.allclose(found[0].gate_grads_G, found[1].gate_grads_G, rtol=1e-9, atol=1e-14)
    for n, b in statistics[1].items():
        assert torch.allclose(statistics[0][n].double(), b.double(), rtol=1e-12), n


@pytest.mark.parametrize("engine", ENGINES)
@pytest.mark.parametrize("name", ["BatchNorm", "timm vit"])
def test_a_whole_step_is_that_without_checkpoints(batches, name, engine):
    torch.manual_seed(0)
    net = NETWORKS[name]().double()
    train, meta = batches(8, torch.float64, seed=5)
    after = []
    for one in (copy.deepcopy(net), keeping(net)):
        torch.manual_seed(1)
        head = LearnedWeights().double()
        groups = layer_groups(one, "layer", "all")
        step = MetaStep(
            head, torch.optim.SGD(head.parameters(), lr=10.0), groups,
            FixedGates(torch.ones(len(groups.gated)).double()), engine=engine,
        )  # fmt: skip
        optimiser = torch.optim.SGD(one.parameters(), lr=0.1)
        for _ in range(2):
            step(one, optimiser, train, meta)
        after.append([p.detach().clone() for p in (*one.parameters(), *head.parameters())])
    for mine, plain in zip(*after, strict=True):
        rough = engine == "finite_difference"
        assert torch.allclose(mine, plain, rtol=1e-4 if rough else 1e-9, atol=1e-10), engine


@pytest.mark.parametrize("engine", ENGINES)
def test_a_reentrant_checkpoint_is_refused(batches, engine):
    net = Forgetful(norm=True)
    net.use_reentrant = True
    pair = batches(6, torch.float32, seed=3)
    with pytest.raises(ValueError, match="use_reentrant=False"):
        meta_gradient(net, LearnedWeights(), *pair, lookahead_lr=LR, engine=engine)


@pytest.mark.parametrize("engine", ENGINES)
def test_a_reentrant_checkpoint_at_the_inputs_is_refused(batches, engine):
    """Nothing that comes into it needs a gradient: torch would train around it, with a warning."""
    net = Forgetful(norm=False)
    net.forward = partial(checkpoint, net.forward, use_reentrant=True)
    pair = batches(6, torch.float32, seed=3)
    with pytest.raises(ValueError, match="use_reentrant=False"):
        meta_gradient(net, LearnedWeights(), *pair, lookahead_lr=LR, engine=engine)
