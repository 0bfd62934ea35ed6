"""What one gate covers, for the networks that people use."""

from typing import get_args

import pytest
import torchvision
from torch import nn

import famus_ray
from famus_ray import UserError
from famus_ray.config.schema import ModelConfig
from famus_ray.models.catalog import build_model
from famus_ray.models.layer_groups import Grouping, layer_groups

# Where the last stage begins, and its groups by layer, by block and by stage.
LAST_STAGE = {
    "preact_resnet18": ("layer4.0.bn1.weight", 6, 3, 2),
    "resnet32": ("layer3.0.conv1.weight", 11, 6, 2),
    "wrn16_2": ("layer3.0.bn1.weight", 6, 4, 3),
    "timm/resnet18": ("layer4.0.conv1.weight", 6, 3, 2),
    "torchvision/resnet18": ("layer4.0.conv1.weight", 6, 3, 2),
    "timm/vit_tiny_patch16_224": ("blocks.11.norm1.weight", 5, 3, 3),
}


@pytest.fixture(scope="module")
def networks():
    return {name: build_model(ModelConfig(name=name), 10, 3) for name in LAST_STAGE}


def names(network):
    return [name for name, _ in network.named_parameters()]


@pytest.mark.parametrize("gated_from", ["all", "last_stage", "last_block"])
@pytest.mark.parametrize("grouping", get_args(Grouping))
@pytest.mark.parametrize("name", LAST_STAGE)
def test_every_parameter_is_in_exactly_one_group(networks, name, grouping, gated_from):
    groups = layer_groups(networks[name], grouping, gated_from)
    covered = [p for group in (*groups.trunk, *groups.gated) for p in group.parameters]
    assert sorted(covered) == sorted(names(networks[name]))
    assert all(group.parameters for group in groups.gated)
    assert (gated_from == "all") == (not groups.trunk)


@pytest.mark.parametrize("name", LAST_STAGE)
def test_the_last_stage_and_the_classifier_are_the_gated_tail(networks, name):
    first, *sizes = LAST_STAGE[name]
    order = names(networks[name])
    expected = order[order.index(first) :]
    for grouping, size in zip(("layer", "block", "stage"), sizes, strict=True):
        groups = layer_groups(networks[name], grouping, "last_stage")
        assert sorted(groups.gated_parameters) == sorted(expected)
        assert len(groups.gated) == size
        assert list(groups.last_layer) == order[-2:]


@pytest.mark.parametrize(
    ("name", "first"),
    [
        ("preact_resnet18", "layer4.1.bn1.weight"),
        ("torchvision/resnet18", "layer4.1.conv1.weight"),
        ("timm/vit_tiny_patch16_224", "blocks.11.norm1.weight"),
    ],
)
def test_the_last_block_is_a_shorter_tail(networks, name, first):
    order = names(networks[name])
    groups = layer_groups(networks[name], "layer", "last_block")
    assert sorted(groups.gated_parameters) == sorted(order[order.index(first) :])


class Encoder(nn.Module):
    def __init__(self, tied: bool) -> None:
        super().__init__()
        self.embed = nn.Embedding(9, 8)
        layer = nn.TransformerEncoderLayer(8, 2, 16, batch_first=True)
        self.encoder = nn.TransformerEncoder(layer, 3)
        self.out = nn.Linear(8, 9, bias=False)
        if tied:
            self.out.weight = self.embed.weight


class Wrapped(nn.Module):
    def __init__(self, network: nn.Module) -> None:
        super().__init__()
        self.backbone = network


@pytest.mark.parametrize(
    ("network", "stage", "block"),
    [
        (Encoder(tied=False), "encoder.layers.2", "encoder.layers.2"),
        (Encoder(tied=True), "encoder.layers.2", "encoder.layers.2"),
        (nn.Sequential(Encoder(tied=False), nn.Linear(9, 3)), "0.encoder.layers.2",
         "0.encoder.layers.2"),
        (Wrapped(torchvision.models.resnet18()), "backbone.layer4", "backbone.layer4.1"),
        (torchvision.models.densenet121(), "features.denseblock4", "features.denseblock4"),
    ],
    ids=["encoder", "tied", "in a sequence", "wrapped", "densenet"],
)  # fmt: skip
def test_the_last_stage_and_block_of_networks_of_ones_own(network, stage, block):
    for gated_from, first in (("last_stage", stage), ("last_block", block)):
        groups = layer_groups(network, "layer", gated_from)
        assert groups.gated_parameters[0].startswith(first + ".")
        assert not any(p.startswith(first + ".") for g in groups.trunk for p in g.parameters)


def test_by_tensor_the_last_stage_of_preact_resnet18_has_15_gates(networks):
    groups = layer_groups(networks["preact_resnet18"], "tensor", "last_stage")
    assert len(groups.gated) == 15
    assert all(group.parameters == (group.name,) for group in groups.gated)


@pytest.mark.parametrize(
    ("name", "layer", "members"),
    [
        ("torchvision/resnet18", "layer1.0.conv1", ["conv1.weight", "bn1.weight", "bn1.bias"]),
        ("torchvision/resnet18", "layer2.0.downsample.0", ["0.weight", "1.weight", "1.bias"]),
        # Pre-activation: the norm before a convolution is its own.
        ("preact_resnet18", "layer1.0.conv2", ["bn2.weight", "bn2.bias", "conv2.weight"]),
        ("timm/vit_tiny_patch16_224", "blocks.3.mlp.fc1",
         ["norm2.weight", "norm2.bias", "mlp.fc1.weight", "mlp.fc1.bias"]),
    ],
)  # fmt: skip
def test_a_layer_is_a_weight_layer_with_its_norm(networks, name, layer, members):
    groups = layer_groups(networks[name], "layer", "all").gated
    (found,) = [group.parameters for group in groups if group.name == layer]
    assert len(found) == len(members)
    assert all(full.endswith(end) for full, end in zip(found, members, strict=True))


def test_blocks_and_stages_go_by_the_names_in_the_network(networks):
    resnet = networks["preact_resnet18"]
    blocks = [group.name for group in layer_groups(resnet, "block", "layer2").gated]
    assert blocks == [*(f"layer{i}.{j}" for i in (2, 3, 4) for j in (0, 1)), "linear"]
    stages = [group.name for group in layer_groups(resnet, "stage", "layer2").gated]
    assert stages == ["layer2", "layer3", "layer4", "linear"]


def test_frozen_parameters_are_in_no_group():
    network = build_model(ModelConfig(name="preact_resnet8"), 10, 1)
    network.layer1.requires_grad_(False)
    groups = layer_groups(network, "stage", "all")
    assert [group.name for group in groups.gated] == ["conv1", "bn1", "layer2", "layer3", "linear"]


def test_unknown_grouping_names_the_known_ones(networks):
    with pytest.raises(ValueError, match=r"grouping = 'blok': must be one of tensor, layer"):
        layer_groups(networks["preact_resnet18"], "blok")


@pytest.mark.parametrize("gated_from", ["nope", "layer"])
def test_a_tail_that_no_layer_begins_is_a_mistake_of_the_user(tmp_path, gated_from):
    overrides = (f"meta.gated_from={gated_from}", f"run.root={tmp_path / 'runs'}")
    with pytest.raises(UserError) as caught:
        famus_ray.train("digits", *overrides)
    message = str(caught.value)
    assert message.startswith(f"meta.gated_from = '{gated_from}': no parameter begins so")
    assert "last_stage" in message
    assert "layer3, linear" in message
    assert list(tmp_path.iterdir()) == []


def test_regular_expressions_make_a_group_each(networks):
    groups = layer_groups(networks["preact_resnet18"], [r"layer4\.\d\.conv", r"layer4", "linear"])
    assert [len(group.parameters) for group in groups.gated] == [4, 9, 2]
    assert groups.gated[2].parameters == groups.last_layer == ("linear.weight", "linear.bias")
    assert not any(n.startswith("layer4") for group in groups.trunk for n in group.parameters)


@pytest.mark.parametrize(
    ("pattern", "message"),
    [("layer9", "'layer9' finds no parameter"), ("layer(", "'layer(' is no regular expression")],
)
def test_an_expression_that_is_of_no_use_is_named(networks, pattern, message):
    with pytest.raises(ValueError) as caught:
        layer_groups(networks["preact_resnet18"], ["linear", pattern])
    assert message in str(caught.value)
