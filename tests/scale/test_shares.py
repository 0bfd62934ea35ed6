"""Batches that are too small for the workers that share them are refused before the first step."""

from __future__ import annotations

import pytest

from famus_ray.config import resolve
from famus_ray.errors import UserError
from famus_ray.scale.shares import check_shares
from famus_ray.training.loop import checked_data

DEEP = "model.name=test_resnet"  # its last layers see images of one pixel


@pytest.mark.parametrize(
    ("overrides", "message"),
    [
        (("run.batch_size=2",), "run.batch_size: 2 examples among scale.workers = 2 are one for"),
        (
            ("run.batch_size=8", "meta.batch_size=2", "method=mwnet"),
            "meta.batch_size: 2 examples among scale.workers = 2 are one for each",
        ),
        (
            ("run.batch_size=2", "method=famus", "meta.source=batch"),
            "run.batch_size: 2 examples among scale.workers = 2 leave some of them with none",
        ),
    ],
)
def test_one_example_a_worker_is_refused_where_the_network_needs_two(overrides, message):
    config = resolve("digits", ["method=ce", DEEP, *overrides, "scale.workers=2"]).config
    with pytest.raises(UserError, match=message):
        check_shares(config, checked_data(config))


@pytest.mark.parametrize(
    "overrides",
    [
        (DEEP, "run.batch_size=4"),
        ("model.norm=group", "run.batch_size=2"),
        ("model.name=preact_resnet8", "run.batch_size=2"),  # four pixels an image are enough
    ],
)
def test_what_can_be_trained_is_let_through(overrides):
    config = resolve("digits", ["method=ce", *overrides, "scale.workers=2"]).config
    check_shares(config, checked_data(config))
