"""All that comes with the package is run through the checks that it ships for others."""

from __future__ import annotations

import pytest
import torch

from famus_ray.config.methods import known_methods
from famus_ray.config.schema import ModelConfig
from famus_ray.models.catalog import build_model
from famus_ray.models.layer_groups import layer_groups
from famus_ray.testing import METHOD_CHECKS, check_groups, check_reader, check_sampler


@pytest.mark.parametrize("check", METHOD_CHECKS, ids=lambda check: check.__name__)
@pytest.mark.parametrize("method", known_methods())
def test_a_method_keeps_the_contract(method, check, tmp_path):
    check(method, tmp_path)


@pytest.mark.parametrize("gated_from", ["all", "last_stage", "last_block"])
@pytest.mark.parametrize("grouping", ["tensor", "layer", "block", "stage"])
@pytest.mark.parametrize("name", ["preact_resnet8", "resnet32", "wrn10_1"])
def test_a_layer_grouping_keeps_the_contract(name, grouping, gated_from):
    with torch.device("meta"):
        model = build_model(ModelConfig(name=name), classes=10, channels=3)
    check_groups(layer_groups(model, grouping, gated_from), model)


def test_the_reader_of_the_digits_keeps_the_contract():
    check_reader("data.name=digits")


@pytest.mark.parametrize("searcher", ["tpe", "random", "gp", "qmc", "nsga2", "nsga3"])
def test_a_searcher_keeps_the_contract(searcher, tmp_path):
    check_sampler(searcher, tmp_path)
