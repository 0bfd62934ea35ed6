from __future__ import annotations

import pytest
import torch

from famus_ray.config import resolve
from famus_ray.data.batches import EpochBatches
from famus_ray.data.catalog import load_dataset
from famus_ray.loop import start
from famus_ray.meta import mean_cross_entropy


def steps(count: int, *overrides: str) -> tuple[object, list[dict[str, float]]]:
    settings = ("model.widths=[4,6,8]", "run.batch_size=32", *overrides)
    config = resolve("digits", settings).config
    data = load_dataset(config.data, config.noise, config.run.seed)
    state = start(config, data, torch.device("cpu"))
    state.gate_noise.manual_seed(0)
    state.model.train()
    measured = []
    pairs = EpochBatches(data, config).epoch(0, with_meta=state.step.needs_meta_batch)
    for (train, meta), _ in zip(pairs, range(count), strict=False):
        found = state.step(state.model, state.optimiser, train, meta)
        measured.append({name: float(value) for name, value in found.items()})
    return state, measured


def test_the_first_steps_of_famus_are_pinned():
    """A change of these numbers is a change of the method: say so in the decisions."""
    _, measured = steps(4)
    losses = [m["train/loss"] for m in measured]
    assert losses == pytest.approx([2.307871, 2.372798, 2.321752, 2.354599], rel=2e-4)


def test_k_and_lambda1_decide_how_many_gates_open():
    def mean_open(k: int) -> float:
        overrides = (f"meta.k={k}", "meta.lambda1=1.0", "meta.grouping=tensor", "meta.gate_lr=0.01")
        _, measured = steps(35, *overrides)
        return sum(m["gates/open"] for m in measured[-12:]) / 12

    assert mean_open(1) + 2 < mean_open(9)


def test_ce_is_plain_sgd():
    state, measured = steps(3, "method=ce")
    config = resolve("digits", ("model.widths=[4,6,8]", "run.batch_size=32", "method=ce")).config
    data = load_dataset(config.data, config.noise, config.run.seed)
    twin = start(config, data, torch.device("cpu"))
    twin.model.train()
    pairs = EpochBatches(data, config).epoch(0, with_meta=False)
    for ((inputs, labels), _), mine in zip(pairs, measured, strict=False):
        twin.optimiser.zero_grad()
        loss = mean_cross_entropy(twin.model(inputs), labels)
        loss.backward()
        twin.optimiser.step()
        assert mine["train/loss"] == loss.item()
    for a, b in zip(state.model.parameters(), twin.model.parameters(), strict=True):
        assert torch.equal(a, b)


def test_a_closed_gate_turns_its_gradient_round_in_the_released_code():
    """Quirk 2: the gate's gradient has the wrong sign where the gate is closed."""
    gradients = {}
    for fidelity in ("paper", "released"):
        state, _ = steps(0, f"meta.fidelity={fidelity}", "meta.lambda1=0", "meta.lambda2=0")
        closed = torch.zeros(3, requires_grad=True)
        optimiser = torch.optim.SGD([closed], lr=1.0)
        state.step._update_gates(optimiser, closed * 1.0, torch.tensor([1.0, 2.0, -3.0]))
        gradients[fidelity] = closed.grad
    assert torch.equal(gradients["paper"], -gradients["released"])
