"""A learner: its rate follows the schedule, its numbers the seed, its state a checkpoint."""

from __future__ import annotations

import copy

import pytest
import torch

from famus_ray.config import resolve
from famus_ray.data.batches import EpochBatches
from famus_ray.data.catalog import load_dataset
from famus_ray.training.learner import Learner, new_learner

SMALL = ("model.widths=[4,4,8]", "run.batch_size=256", "optimiser.lr=0.1", "schedule.epochs=4")


def learner(*overrides: str, network: int = 0) -> tuple[Learner, callable]:
    config = resolve("digits", (*SMALL, *overrides)).config
    data = load_dataset(config.data, config.noise, config.run.seed)
    new = new_learner(config, data, torch.device("cpu"), network)

    def train(epoch: int, steps: list[int] | None = None) -> dict[str, float]:
        pairs = EpochBatches(data, config).epoch(epoch, with_meta=new.step.needs_meta_batch)
        return new.train(config, data, epoch, pairs, (steps if steps is not None else []).append)

    return new, train


def weights(of: Learner) -> torch.Tensor:
    return torch.cat([p.detach().flatten() for p in of.model.parameters()])


def test_the_rate_of_an_epoch_is_that_of_the_schedule():
    _, train = learner("method=ce", "schedule.kind=step", "schedule.milestones=[2]")
    assert [train(epoch)["train/lr"] for epoch in (0, 1, 2)] == pytest.approx([0.1, 0.1, 0.01])


def test_every_step_is_told_of_and_counts_in_the_means():
    _, train = learner("method=famus")
    steps: list[int] = []
    metrics = train(0, steps)
    assert steps == [1, 2, 3, 4]
    assert {"train/loss", "meta/loss", "gates/open", "time/step", "train/lr"} <= {*metrics}


def test_two_networks_of_one_run_begin_and_draw_apart():
    first, second = (learner("method=ce", network=number)[0] for number in (0, 1))
    assert not torch.equal(weights(first), weights(second))
    assert first.purpose("gates") == "gates"
    assert second.purpose("gates") == "gates/1"


@pytest.mark.parametrize("method", ["famus", "mentormix"])
def test_a_learner_in_anothers_state_goes_on_as_it_would_have(method):
    one, train_one = learner(f"method={method}")
    train_one(0)
    other, train_other = learner(f"method={method}", "run.seed=0")
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    train_one(1)
    train_other(1)
    assert torch.equal(weights(one), weights(other))


def test_a_loaded_step_keeps_the_rates_that_it_was_made_with():
    one, train = learner("method=famus", "meta.lr=0.001", "meta.gate_lr=0.1")
    train(0)
    other, _ = learner("method=famus", "meta.lr=0.005", "meta.gate_lr=0.7")
    other.load_state_dict(copy.deepcopy(one.state_dict()))
    assert other.step.head_optimiser.param_groups[0]["lr"] == 0.005
    assert other.step.gates_optimiser.param_groups[0]["lr"] == 0.7
    moments = [state["exp_avg"].abs().sum() for state in other.step.head_optimiser.state.values()]
    assert all(moment > 0 for moment in moments)  # and the rest of the state is the other's
