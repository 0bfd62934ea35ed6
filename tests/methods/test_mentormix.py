"""MentorMix's formulas on cases worked out by hand, and its step."""

from __future__ import annotations

import math
from pathlib import Path

import pytest
import torch

import famus_ray as fr
from famus_ray.config import resolve
from famus_ray.methods.mentormix import (
    MentorMixStep,
    Percentile,
    curriculum,
    own_share,
    partner_odds,
)


@pytest.mark.usefixtures("float64")
def test_the_threshold_is_a_moving_average_of_the_losses_percentile():
    percentile = Percentile(share=0.5, decay=0.9)
    assert percentile.update(torch.tensor([1.0, 3.0, 2.0])).item() == 2.0
    # 0.9 * 2 + 0.1 * 12
    assert percentile.update(torch.tensor([11.0, 12.0, 13.0])).item() == pytest.approx(3.0)


def test_the_curriculum_trusts_losses_up_to_the_threshold():
    losses = torch.tensor([0.1, 2.0, 2.1])
    assert curriculum(losses, torch.tensor(2.0)).tolist() == [1.0, 1.0, 0.0]


@pytest.mark.usefixtures("float64")
def test_trusted_examples_are_likelier_partners():
    odds = partner_odds(torch.tensor([1.0, 0.0]), temperature=0.5)
    assert odds.tolist() == pytest.approx([math.e**2 / (math.e**2 + 1), 1 / (math.e**2 + 1)])


@pytest.mark.usefixtures("float64")
def test_a_trusted_example_dominates_and_another_gives_way():
    drawn = torch.tensor([0.2, 0.8, 0.2, 0.8])
    trusted = torch.tensor([1.0, 1.0, 0.0, 0.0])
    assert own_share(trusted, drawn).tolist() == pytest.approx([0.8, 0.8, 0.2, 0.2])


@pytest.mark.usefixtures("float64")
def test_a_step_descends_the_loss_of_what_was_mixed():
    """With a linear network, alpha near 0 and everything trusted, the mixture is the example."""
    method = resolve("digits", ("method=mentormix", "method.mixup_alpha=1e-4", "method.burn_in=9"))
    generator = torch.Generator().manual_seed(0)
    step = MentorMixStep(method.config.method, generator)
    net = torch.nn.Linear(3, 2)
    x, y = torch.randn(6, 3), torch.tensor([0, 1, 0, 1, 0, 1])
    wanted = torch.nn.functional.cross_entropy(net(x), y).item()
    optimiser = torch.optim.SGD(net.parameters(), lr=0.1)
    found = step(net, optimiser, (x, y), None)
    assert found["train/loss"].item() == pytest.approx(wanted, rel=1e-3)
    assert found["curriculum/trusted"].item() == 1.0


def test_the_second_weighting_drops_mixtures_above_the_threshold():
    losses = {}
    for second in ("true", "false"):
        config = resolve("digits", ("method=mentormix", f"method.second_weighting={second}")).config
        torch.manual_seed(0)
        net, generator = torch.nn.Linear(3, 2), torch.Generator().manual_seed(0)
        step = MentorMixStep(config.method, generator)
        batch = torch.randn(32, 3), torch.randint(2, (32,))
        found = step(net, torch.optim.SGD(net.parameters(), lr=0.1), batch, None)
        losses[second] = found["train/loss"].item()
    assert losses["true"] < losses["false"]


def test_a_resumed_run_goes_on_with_the_same_threshold(tmp_path: Path):
    settings = ("method=mentormix", "model.widths=[4,4,8]", "schedule.epochs=2", "run.threads=1")
    run = fr.train("digits", *settings, f"run.root={tmp_path}")
    state = torch.load(run.path / "checkpoints" / "last.pt", weights_only=True)["step"]
    assert state["taken"] == 36
    step = MentorMixStep(run.config.method, torch.Generator())
    step.load_state_dict(state)
    assert step.percentile.value.item() > 0
