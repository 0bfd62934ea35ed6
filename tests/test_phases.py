from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager

import pytest
import torch
from torch.profiler import ProfilerActivity, profile

from famus_ray.config import resolve
from famus_ray.methods import build_step
from famus_ray.models.catalog import build_model
from famus_ray.phases import PHASES, observed

PLAIN = ["actual/forward", "actual/backward", "actual/update"]
META = ["virtual/forward", "virtual/backward", "meta/forward", "meta/backward"]


def take_steps(count: int, *overrides: str) -> None:
    settings = ("model.name=preact_resnet8", "model.widths=[2,2,2]", *overrides)
    config = resolve("digits", settings).config
    model = build_model(config.model, 10, 1)
    step = build_step(config, model, 10, torch.Generator().manual_seed(0))
    optimiser = torch.optim.SGD(model.parameters(), lr=0.1)
    batch = torch.randn(4, 1, 8, 8), torch.randint(10, (4,))
    for _ in range(count):
        step(model, optimiser, batch, batch)


def phases_of(count: int, *overrides: str) -> list[str]:
    """The phases that an observer sees in so many steps, in their order."""
    seen = []

    @contextmanager
    def observer(name: str) -> Iterator[None]:
        seen.append(name)
        yield

    with observed(observer):
        take_steps(count, *overrides)
    return seen


@pytest.mark.parametrize(
    ("overrides", "expected"),
    [
        (("method=ce",), PLAIN),
        (("method=famus",), [*META, "tangent", *PLAIN[1:]]),
        (
            ("method=mwnet", "meta.engine=double_backward"),
            [*META, "meta/backward", *PLAIN[1:]],  # to the virtual weights, and from them to theta
        ),
    ],
)
def test_an_observer_sees_every_phase_in_order(overrides, expected):
    seen = phases_of(1, *overrides)
    assert seen == expected
    take_steps(1)
    assert seen == expected, "the observer outlived its context"


def test_between_meta_updates_a_step_is_plain():
    seen = phases_of(3, "method=mwnet", "meta.interval=2")
    meta_step = [*META, "tangent", *PLAIN[1:]]
    assert seen == [*meta_step, *PLAIN, *meta_step]


def test_phases_are_ranges_in_a_trace():
    with profile(activities=[ProfilerActivity.CPU]) as trace:
        take_steps(1)
    ranges = {event.key for event in trace.key_averages()}
    missing = {f"famus/{name}" for name in PHASES} - ranges - {"famus/actual/forward"}
    assert not missing
