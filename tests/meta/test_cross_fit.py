"""The meta set taken from the batch itself: against its definition, and what it saves."""

from __future__ import annotations

import itertools

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.func import functional_call, grad

import famus_ray
from famus_ray.errors import UserError
from famus_ray.meta import CrossFit, FixedGates, LearnedWeights, MetaGradient, meta_gradient
from famus_ray.models.layer_groups import layer_groups
from famus_ray.models.preact_resnet import PreActResNet

CLASSES = 4


def network(norm: str = "batch") -> nn.Module:
    torch.manual_seed(0)
    return PreActResNet(CLASSES, 3, (1, 1, 1), (4, 4, 6), norm).double()


def batch(count: int = 9) -> tuple[torch.Tensor, torch.Tensor]:
    generator = torch.Generator().manual_seed(5)
    images = torch.randn(count, 3, 8, 8, generator=generator, dtype=torch.float64)
    return images, torch.randint(CLASSES, (count,), generator=generator)


def flat(found: MetaGradient) -> torch.Tensor:
    return torch.cat([*(g.flatten() for g in found.head_grads.values()), found.gate_grads_G])


def close(a: torch.Tensor, b: torch.Tensor) -> bool:
    return bool((a - b).norm() <= 1e-9 * b.norm())


@pytest.mark.parametrize("kind", ["batch", "group", "dropout"])
def test_engines_agree(kind):
    head = LearnedWeights().double()
    for scope, gated_from in itertools.product(("all", "tail"), ("all", "layer3")):
        found = []
        for engine in ("jvp", "double_backward"):
            net = network("group" if kind == "group" else "batch").train()
            if kind == "dropout":
                net.layer2.append(nn.Dropout(0.5))
            groups = layer_groups(net, "layer", gated_from)
            is_open = torch.arange(len(groups.gated)) % 2 == 0
            torch.manual_seed(1)
            found.append(
                meta_gradient(
                    net, head, batch(), CrossFit(), lookahead_lr=0.3, groups=groups,
                    gates=FixedGates(is_open.double()), scope=scope, engine=engine,
                )
            )  # fmt: skip
        assert flat(found[0]).norm() > 0
        assert close(flat(found[0]), flat(found[1])), (kind, scope, gated_from)


def test_the_definition_written_out():
    """The even rows step; of the odd rows the half with the lowest loss judges."""
    net, head = network("group"), LearnedWeights().double()
    images, labels = batch(8)
    weights = {n: p.detach() for n, p in net.named_parameters()}

    def losses(w, rows):
        logits = functional_call(net, w, (images[rows],))
        return F.cross_entropy(logits, labels[rows], reduction="none")

    even, odd = torch.arange(0, 8, 2), torch.arange(1, 8, 2)

    def objective(theta):
        def train(w):
            found = losses(w, even)
            raw = functional_call(head.weight_net, theta, (found.detach(),))
            return torch.dot(raw / raw.sum(), found)

        moved = {n: weights[n] - 0.3 * g for n, g in grad(train)(weights).items()}
        return losses(moved, odd).sort().values[:2].mean()

    theta = {n: p.detach() for n, p in head.weight_net.named_parameters()}
    expected = grad(objective)(theta)
    found = meta_gradient(net, head, (images, labels), CrossFit(0.5), lookahead_lr=0.3)
    for name, value in expected.items():
        assert close(found.head_grads[f"weight_net.{name}"], value), name


def test_features_below_the_tail_are_reused():
    calls = {}
    for scope in ("all", "tail"):
        net, seen = network(), []
        net.layer1[0].conv1.register_forward_hook(lambda *_, seen=seen: seen.append(1))
        groups = layer_groups(net, "layer", "layer3")
        meta_gradient(
            net, LearnedWeights().double(), batch(), CrossFit(), lookahead_lr=0.1,
            groups=groups, scope=scope,
        )  # fmt: skip
        calls[scope] = len(seen)
    assert calls == {"all": 2, "tail": 1}


def test_it_learns_without_clean_examples(tmp_path):
    result = famus_ray.train(
        "digits", "meta.source=batch", "data.meta_per_class=0", "meta.scope=tail",
        "model.widths=[8,16,32]", "schedule.epochs=4", "run.threads=1", "noise.rate=0.2",
        f"run.root={tmp_path}",
    )  # fmt: skip
    curves = famus_ray.load_curves(result.path)
    top1 = curves.query("metric == 'test/top1'").sort_values("epoch").value
    assert top1.iloc[-1] > 0.5


def test_l2rw_has_no_rows_left_to_judge():
    with pytest.raises(UserError, match=r"meta\.source = batch: is for .*, not for method l2rw"):
        famus_ray.train("digits", "method=l2rw", "meta.source=batch")
