from __future__ import annotations

from itertools import chain, islice

import pytest
import torch

from famus_ray.config import resolve
from famus_ray.data.batches import EpochBatches
from famus_ray.data.catalog import load_dataset
from famus_ray.errors import UserError
from famus_ray.meta import mean_cross_entropy
from famus_ray.methods.l2rw import positive_weights
from famus_ray.models.layer_groups import layer_groups
from famus_ray.training.evaluation import evaluate
from famus_ray.training.learner import Learner, new_learner


def steps(count: int, *overrides: str) -> tuple[Learner, list[dict[str, float]]]:
    """A run after so many steps, as many epochs as it takes, and what each step measured."""
    settings = ("model.widths=[4,6,8]", "run.batch_size=32", *overrides)
    config = resolve("digits", settings).config
    data = load_dataset(config.data, config.noise, config.run.seed)
    state = new_learner(config, data, torch.device("cpu"))
    state.gate_noise.manual_seed(0)
    state.model.train()
    measured = []
    batches, with_meta = EpochBatches(data, config), state.step.needs_meta_batch
    pairs = chain.from_iterable(batches.epoch(e, with_meta=with_meta) for e in range(9))
    for train, meta in islice(pairs, count):
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
    twin = new_learner(config, data, torch.device("cpu"))
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


def test_between_updates_theta_stands_still():
    def theta_after(count: int) -> list[torch.Tensor]:
        state, _ = steps(count, "meta.interval=3")
        return [p.detach().clone() for p in state.step.head.parameters()]

    first, third, fourth = theta_after(1), theta_after(3), theta_after(4)
    assert all(map(torch.equal, first, third))
    assert not all(map(torch.equal, third, fourth))


@pytest.mark.parametrize(
    ("overrides", "open_gates"),
    [(("meta.sampler=all",), 3), (("meta.sampler=fixed", "meta.open=[linear]"), 1),
     (("meta.sampler=random", "meta.k=2"), 2)],
)  # fmt: skip
def test_samplers_open_what_they_say(overrides, open_gates):
    grouping = ("meta.grouping=layer", "meta.gated_from=layer3.0.conv2")
    _, measured = steps(4, *overrides, *grouping)
    if open_gates == 3:
        open_gates = len(layer_groups(start_model(), "layer", "layer3.0.conv2").gated)
    assert {m["gates/open"] for m in measured} == {float(open_gates)}


def start_model() -> torch.nn.Module:
    return steps(0)[0].model


def test_a_fixed_sampler_that_opens_nothing_is_refused():
    with pytest.raises(UserError, match=r"meta\.open = \['layer9'\].*linear"):
        steps(0, "meta.sampler=fixed", "meta.open=[layer9]")


@pytest.mark.usefixtures("float64")
def test_mlc_keeps_a_transition_matrix():
    state, _ = steps(8, "method=mlc", "meta.lr=5.0")
    matrix = state.step.head.matrix_CC
    assert (matrix >= 0).all()
    assert torch.allclose(matrix.sum(dim=0), torch.ones(10), atol=1e-5)
    assert not torch.allclose(matrix, steps(0, "method=mlc")[0].step.head.matrix_CC)


@pytest.mark.usefixtures("float64")
def test_l2rw_weights_are_shares_and_wrong_directions_get_none():
    weights = positive_weights(torch.tensor([-3.0, 2.0, -1.0]))
    assert weights.tolist() == pytest.approx([0.75, 0.0, 0.25])
    assert positive_weights(torch.tensor([1.0, 2.0])).tolist() == [0.0, 0.0]


@pytest.mark.parametrize("method", ["mixup", "l2rw", "mlc"])
def test_every_method_learns(method):
    """Six epochs on clean digits leave chance (10 %) far behind."""
    settings = (f"method={method}", "noise=none", "model.widths=[8,8,16]")
    state, _ = steps(200, *settings)
    config = resolve("digits", ["noise=none"]).config
    data = load_dataset(config.data, config.noise, config.run.seed)
    assert evaluate(state.model, data, data.test)["top1"] > 0.3
