"""CLID-MU's meta loss on cases worked out by hand, and its gradient against the definition."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import famus_ray as fr
from famus_ray.meta import LearnedWeights, meta_gradient
from famus_ray.methods.clidmu import CrossLayerDivergence, graph_divergence, similarity_graph
from famus_ray.models.preact_resnet import PreActResNet


def test_edges_are_a_softmax_of_cosines_over_the_other_examples():
    rows = torch.tensor([[2.0, 0.0], [1.0, 1.0], [0.0, 3.0]])
    edges = similarity_graph(rows, temperature=0.5).exp()
    near, far = math.exp(math.sqrt(0.5) / 0.5), math.exp(0.0)
    assert edges[0].tolist() == pytest.approx([0.0, near / (near + far), far / (near + far)])
    assert edges[1].tolist() == pytest.approx([0.5, 0.0, 0.5])


def test_the_divergence_of_two_graphs():
    features = torch.tensor([[1.0, 0.0], [1.0, 0.0], [0.0, 1.0]])
    probabilities = torch.tensor([[1.0, 0.0], [0.0, 1.0], [0.0, 1.0]])
    e = math.e
    near, far = e / (e + 1), 1 / (e + 1)  # at temperature 1
    # Rows: (near, far) against (1/2, 1/2); (near, far) against (far, near); 1/2 against (far, near)
    rows = [
        near * math.log(near / 0.5) + far * math.log(far / 0.5),
        near * math.log(near / far) + far * math.log(far / near),
        0.5 * math.log(0.5 / far) + 0.5 * math.log(0.5 / near),
    ]
    found = graph_divergence(features, probabilities, 1.0).item()
    assert found == pytest.approx(sum(rows) / 3, rel=1e-5)
    assert graph_divergence(features, features, 1.0).item() == pytest.approx(0.0, abs=1e-6)


def test_its_meta_gradient_is_exact():
    torch.manual_seed(0)
    net, head = PreActResNet(3, 3, (1, 1), (4, 6)).double(), LearnedWeights().double()
    batch = torch.randn(6, 3, 8, 8).double(), torch.randint(3, (6,))
    found = []
    for engine in ("jvp", "double_backward"):
        loss = CrossLayerDivergence(0.5)
        with loss.watching(net.linear):
            found.append(
                meta_gradient(
                    net, head, batch, batch, lookahead_lr=0.3, meta_loss=loss, engine=engine
                ).head_grads
            )
    for name, exact in found[1].items():
        assert exact.norm() > 0
        assert (found[0][name] - exact).norm() <= 1e-9 * exact.norm(), name


def test_it_trains_without_a_clean_example(tmp_path: Path):
    settings = ("method=clidmu", "data.meta_per_class=0", "model.widths=[4,4,8]", "run.threads=1")
    run = fr.train("digits", *settings, "schedule.epochs=1", f"run.root={tmp_path}")
    curves = fr.load_curves(run.path)
    meta = curves[curves["metric"] == "meta/loss"]["value"]
    assert (meta > 0).all()
    assert fr.load_samples(run.path)["weight"].between(0, 1, inclusive="neither").all()
