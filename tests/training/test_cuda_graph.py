"""Without a GPU a graph is played by its rules: what was launched while capturing is launched
again, on the same memory, with the numbers that Python held then."""

from __future__ import annotations

import copy
import sys
from contextlib import closing, contextmanager, nullcontext
from itertools import islice

import pytest
import torch
import torch.nn.functional as F
from torch import nn
from torch.utils._python_dispatch import TorchDispatchMode
from torch.utils._pytree import tree_leaves

from famus_ray.config import resolve
from famus_ray.data.catalog import load_dataset
from famus_ray.errors import UserError
from famus_ray.meta.step import PlainStep, descend
from famus_ray.training.cuda_graph import GraphedStep
from famus_ray.training.loop import pick_device, start


class PlayedGraph(TorchDispatchMode):
    """Launches while they are captured, which a GPU would not: the first replay has been."""

    def __init__(self):
        super().__init__()
        self.launched = []
        self.replays = 0

    def __torch_dispatch__(self, function, types, args=(), kwargs=None):
        result = function(*args, **(kwargs or {}))
        self.launched.append((function, args, kwargs or {}, result))
        return result

    def register_generator_state(self, generator):
        self.generator = generator

    @torch.no_grad()
    def replay(self):
        self.replays += 1
        for function, args, kwargs, result in self.launched if self.replays > 1 else ():
            again = function(*args, **kwargs)
            for static, new in zip(tree_leaves(result), tree_leaves(again), strict=True):
                if isinstance(static, torch.Tensor) and static.data_ptr() != new.data_ptr():
                    static.copy_(new)


class Stream:
    def wait_stream(self, other):
        pass


@pytest.fixture
def played(monkeypatch):
    graphs = []

    @contextmanager
    def capture(graph, capture_error_mode):
        graphs.append(graph)
        with graph:
            yield

    monkeypatch.setattr(torch.cuda, "CUDAGraph", PlayedGraph)
    monkeypatch.setattr(torch.cuda, "graph", capture)
    monkeypatch.setattr(torch.cuda, "Stream", Stream)
    monkeypatch.setattr(torch.cuda, "current_stream", Stream)
    monkeypatch.setattr(torch.cuda, "stream", lambda stream: nullcontext())
    monkeypatch.setattr(torch.cuda, "get_rng_state", torch.get_rng_state)
    monkeypatch.setattr("famus_ray.meta.jvp.can_be_read", lambda tensor: False)
    monkeypatch.setattr("famus_ray.meta.tangent.can_be_read", lambda tensor: False)
    monkeypatch.setattr("famus_ray.meta.recorded.can_be_read", lambda tensor: False)
    adam = sys.modules[torch.optim.Adam.__module__]
    monkeypatch.setattr(adam, "_get_capturable_supported_devices", lambda: ["cpu"])
    return graphs


def losses(count, *overrides, as_graph=False, epochs=2, device="cpu"):
    device = torch.device(device)
    config = resolve("digits", ("model.widths=[4,6,8]", "run.batch_size=16", *overrides)).config
    data = load_dataset(config.data, config.noise, config.run.seed)
    procedure = start(config, data.to(device), device)
    learner = procedure.learners[0]
    learner.model.train()
    found = []
    for epoch in range(epochs):
        learner.gate_noise.manual_seed(epoch)
        learner.optimiser.param_groups[0]["lr"] = 0.05 / (epoch + 1)
        pairs, _ = procedure.rehearsal()
        step = GraphedStep(learner.step, learner.gate_noise) if as_graph else learner.step
        with closing(step) if as_graph else nullcontext():
            for train, meta in islice(pairs, count):
                measured = step(learner.model, learner.optimiser, train, meta)
                found.append({name: float(value) for name, value in measured.items()})
    return found, learner


STEPS = pytest.mark.parametrize(
    "overrides",
    [
        ("method=ce", "optimiser.clip_norm=1.0"),
        ("method=l2rw",),
        ("method=mlc",),
        ("method=mwnet",),
        ("method=clidmu",),
        ("method=famus", "meta.engine=double_backward"),
        ("method=famus", "meta.sampler=random"),
        ("method=famus", "meta.scope=tail", "meta.lambda2=0.1"),
        ("method=famus", "meta.scope=tail", "meta.source=batch"),
        ("method=famus", "meta.source=pseudo_clean"),
        ("method=famus", "meta.source=pseudo_clean", "meta.fidelity=released"),
        ("method=dividemix", "pipeline.prior_penalty=1"),
    ],
    ids=" ".join,
)


@STEPS
@pytest.mark.usefixtures("float64")
def test_a_graph_gives_the_numbers_of_its_step(overrides, played):
    eager, _ = losses(7, *overrides)
    mine, learner = losses(7, *overrides, as_graph=True)
    assert [graph.replays for graph in played] == [4, 4]
    for a, b in zip(eager, mine, strict=True):
        assert b == pytest.approx(
            a, rel=1e-8, abs=1e-12
        )  # double precision; a capturable Adam sums otherwise
    assert not str(learner.step.state_dict()).count("'capturable': True")


def stepped(model, batches):
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1, momentum=0.9)
    step = GraphedStep(PlainStep(nn.CrossEntropyLoss()), generator)
    for size in batches:
        batch = torch.randn(size, 4, generator=generator), torch.arange(size) % 3
        step(model, optimiser, batch, None)


@pytest.mark.usefixtures("float64")
def test_a_batch_of_another_shape_is_stepped_through_as_it_is(played):
    sizes = [8, 8, 8, 8, 5, 8]
    model = nn.Linear(4, 3)
    twin = copy.deepcopy(model)
    stepped(model, sizes)
    assert [graph.replays for graph in played] == [2]
    generator = torch.Generator().manual_seed(0)
    optimiser = torch.optim.SGD(twin.parameters(), lr=0.1, momentum=0.9)
    for size in sizes:
        inputs = torch.randn(size, 4, generator=generator)
        descend(twin, optimiser, F.cross_entropy(twin(inputs), torch.arange(size) % 3))
    assert torch.allclose(model.weight, twin.weight, rtol=1e-9)


def test_a_network_that_draws_numbers_is_not_captured(played, capsys):
    stepped(nn.Sequential(nn.Dropout(0.5), nn.Linear(4, 3)), [8] * 6)
    assert not played
    assert capsys.readouterr().err.count("no CUDA graph") == 1


def test_what_cannot_be_captured_goes_on_without(played, capsys):
    class RefusesOnce(nn.Linear):
        calls = 0

        def forward(self, inputs):
            self.calls += 1
            if self.calls == 4:
                raise RuntimeError("operation not permitted when stream is capturing")
            return super().forward(inputs)

    model = RefusesOnce(4, 3)
    stepped(model, [8] * 6)
    assert model.calls == 7
    assert "not permitted" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("overrides", "found"),
    [
        ((), "no GPU is used here"),
        (("method=mixup",), "not for method mixup"),
        (("meta.interval=5",), "not for meta.interval = 5"),
        (("optimiser.accumulate=2",), "not for optimiser.accumulate = 2"),
    ],
)
def test_where_there_can_be_no_graph_it_is_refused(overrides, found):
    with pytest.raises(UserError, match=found):
        pick_device(resolve("digits", ("run.cuda_graph=true", *overrides)).config)


@pytest.mark.gpu
@STEPS
def test_a_card_captures_every_step_and_gives_its_numbers(overrides, capsys):
    eager, _ = losses(7, *overrides, device="cuda")
    mine, _ = losses(7, *overrides, device="cuda", as_graph=True)
    assert "no CUDA graph" not in capsys.readouterr().err
    for a, b in zip(eager, mine, strict=True):
        assert b == pytest.approx(a, rel=1e-3, abs=1e-5)


@pytest.mark.gpu
@pytest.mark.parametrize("method", ["ce", "l2rw", "mlc", "mwnet", "famus"])
def test_a_card_gives_the_numbers_of_the_cpu(method):
    overrides = (f"method={method}", "meta.sampler=all", "run.channels_last=false")
    here, _ = losses(5, *overrides)
    there, _ = losses(5, *overrides, device="cuda")
    for a, b in zip(here, there, strict=True):
        assert b == pytest.approx(a, rel=1e-3, abs=1e-5)
