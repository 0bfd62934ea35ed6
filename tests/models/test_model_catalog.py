"""Networks by name, and the files that fill them with weights."""

import re
import sys
from pathlib import Path

import pytest
import torch
from safetensors.torch import save_file

from famus_ray import UserError
from famus_ray.config import resolve
from famus_ray.config.schema import ModelConfig
from famus_ray.models.catalog import build_model
from famus_ray.training.loop import checked_data


def build(name="preact_resnet8", classes=10, channels=1, seed=0, **settings):
    torch.manual_seed(seed)
    return build_model(ModelConfig(name=name, **settings), classes, channels)


def same(first, second):
    return all(torch.equal(a, b) for a, b in zip(first.values(), second.values(), strict=True))


@pytest.mark.parametrize(
    ("name", "channels", "size"),
    [("preact_resnet18", 3, 32), ("preact_resnet8", 1, 8), ("resnet18", 1, 32),
     ("torchvision/resnet18", 3, 32), ("resnet32", 3, 32), ("wrn10_1", 3, 32)],
)  # fmt: skip
def test_a_network_gives_a_logit_for_each_class(name, channels, size):
    network = build(name, classes=7, channels=channels).eval()
    assert network(torch.zeros(2, channels, size, size)).shape == (2, 7)


def test_preact_resnet18_has_56_parameter_tensors():
    assert len(list(build("preact_resnet18", channels=3).parameters())) == 56


@pytest.mark.parametrize(
    ("name", "million"), [("wrn28_10", 36.479194), ("wrn40_2", 2.243546), ("resnet32", 0.464154)]
)
def test_published_networks_have_their_number_of_parameters(name, million):
    with torch.device("meta"):
        network = build(name, channels=3)
    assert sum(p.numel() for p in network.parameters()) == round(million * 1e6)


@pytest.mark.parametrize("name", ["wrn28_10", "resnet32"])
def test_stages_after_the_first_halve_the_resolution(name):
    network = build(name, widths=(8, 16, 24))
    out = network.conv1(torch.zeros(1, 1, 32, 32))
    if name == "resnet32":  # its stem is as wide as the first stage
        assert out.shape[1] == 8
    sizes = []
    for stage in (network.layer1, network.layer2, network.layer3):
        out = stage(out)
        sizes.append(tuple(out.shape[1:]))
    assert sizes == [(8, 32, 32), (16, 16, 16), (24, 8, 8)]


@pytest.mark.usefixtures("float64")
def test_the_shortcut_of_resnet32_subsamples_and_pads_with_zeros():
    block = build("resnet32", channels=3).eval().layer2[0]
    torch.nn.init.zeros_(block.conv2.weight)
    x = torch.rand(1, 16, 4, 4)
    out = block(x)
    torch.testing.assert_close(out[:, 8:24], x[:, :, ::2, ::2])
    assert out[:, :8].abs().sum() + out[:, 24:].abs().sum() == 0


@pytest.mark.usefixtures("float64")
@pytest.mark.parametrize("name", ["preact_resnet8", "resnet32", "wrn10_1"])
def test_group_norm_couples_no_examples(name):
    network = build(name, norm="group").train()
    batch = torch.randn(4, 1, 8, 8)
    torch.testing.assert_close(network(batch)[:1], network(batch[:1]))


def test_a_narrow_shortcut_takes_its_pixels_before_its_convolution():
    """Strided, oneDNN's 1x1 convolution writes past its memory for so few channels."""
    for width in (4, 16):
        network = build(widths=(width, 8, 8)).double()
        block = network.layer2[0]
        assert block.shortcut.stride == ((1, 1) if width < 16 else (2, 2))
        x = torch.randn(2, width, 6, 6, dtype=torch.float64)
        x = x.to(memory_format=torch.channels_last)
        torch.nn.init.zeros_(block.conv2.weight)
        activated = block.bn1(x).relu()
        expected = torch.nn.functional.conv2d(activated, block.shortcut.weight, stride=2)
        torch.testing.assert_close(block(x), expected)


def test_widths_set_the_channels_of_each_stage():
    network = build(widths=(8, 16, 24))
    assert [network.layer1[0].conv1.out_channels, network.linear.in_features] == [8, 24]


@pytest.mark.parametrize(
    ("settings", "found"),
    [
        ({"name": "resnt18"}, r"model.name = resnt18: .*did you mean 'resnet18'"),
        ({"name": "preact_resnet81"}, r"did you mean 'preact_resnet8'"),
        ({"name": "torchvision/resnet18"}, r"takes 3 channels, the images have 1"),
        ({"name": "resnet18", "norm": "group"}, r"model.norm = group: only for preact_resnet18"),
        ({"name": "wrn27_10"}, r"did you mean 'wrn28_10'"),
        ({"widths": (8, 8)}, r"model.widths = \[8, 8\]: preact_resnet8 has 3 stages"),
        ({"weights": "/nowhere.pt"}, r"model.weights = /nowhere.pt: no such file"),
    ],
)
def test_a_network_that_cannot_be_built_says_why(settings, found):
    with pytest.raises(UserError, match=found):
        build(**settings)


@pytest.mark.parametrize("width", [0, -8])
def test_a_stage_without_channels_is_refused(width):
    with pytest.raises(ValueError, match="widths"):
        build(widths=(8, width, 8))


@pytest.mark.parametrize("ending", ["pt", "safetensors"])
def test_saved_weights_come_back(tmp_path, ending):
    saved = build(seed=1)
    path = tmp_path / f"weights.{ending}"
    (save_file if ending == "safetensors" else torch.save)(saved.state_dict(), path)
    assert not same(build().state_dict(), saved.state_dict())
    assert same(build(weights=str(path)).state_dict(), saved.state_dict())


def test_a_classifier_of_another_size_stays_fresh(tmp_path):
    saved, path = build(classes=100, seed=1), tmp_path / "weights.pt"
    torch.save(saved.state_dict(), path)
    loaded, fresh = build(weights=str(path)), build()
    assert torch.equal(loaded.linear.weight, fresh.linear.weight)
    loaded.linear = saved.linear
    assert same(loaded.state_dict(), saved.state_dict())


def misfits():
    """State dicts, and the first tensor of the network that each lacks."""
    state = build().state_dict()
    yield build(widths=(8, 8, 8)).state_dict(), "conv1.weight"
    yield {"module." + name: value for name, value in state.items()}, "conv1.weight"
    kept = {name: value for name, value in state.items() if not name.startswith("layer2.0.bn1")}
    yield kept, "layer2.0.bn1.weight"


def test_weights_of_another_network_are_refused(tmp_path):
    path = tmp_path / "weights.pt"
    for state, missing in misfits():
        torch.save(state, path)
        with pytest.raises(UserError, match=f"does not fit the network, from '{missing}' on"):
            build(weights=str(path))


def test_weights_for_images_of_other_channels_are_refused(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save(build(channels=3).state_dict(), path)
    with pytest.raises(UserError, match=r"conv1\.weight"):
        build(channels=1, weights=str(path))


@pytest.mark.parametrize("name", ["weights.pt", "weights.safetensors"])
def test_a_damaged_weights_file_is_named(tmp_path, name):
    path = tmp_path / name
    path.write_bytes(b"junk")
    with pytest.raises(UserError, match=name):
        build(weights=str(path))


def test_a_file_that_is_no_state_dict_is_named(tmp_path):
    path = tmp_path / "weights.pt"
    torch.save([1, 2], path)
    with pytest.raises(UserError, match=r"weights\.pt"):
        build(weights=str(path))


NETS = """
import torch
from torch import nn

def small(classes, channels):
    return nn.Sequential(nn.Flatten(), nn.Linear(64 * channels, classes))

class Net(nn.Sequential):
    def __init__(self, classes, channels):
        super().__init__(nn.Flatten(), nn.Linear(64 * channels, classes))

torch.manual_seed(7)
net = small(10, 1)
five = small(5, 1)
number = 3

def one(classes):
    return small(classes, 1)

def broken(classes, channels):
    return small(classes, channels.size)

def nothing(classes, channels):
    pass
"""


@pytest.fixture
def nets(tmp_path, monkeypatch):
    """A file `ournets.py` in the working directory, which no other test imports."""
    (tmp_path / "ournets.py").write_text(NETS)
    monkeypatch.chdir(tmp_path)
    monkeypatch.setattr(sys, "path", [*sys.path])
    yield
    sys.modules.pop("ournets", None)


@pytest.mark.parametrize("name", ["small", "Net", "net"])
def test_a_function_a_class_or_a_network_of_the_user_is_found_by_its_import_path(nets, name):
    network = build(f"ournets:{name}").eval()
    assert network(torch.zeros(2, 1, 8, 8)).shape == (2, 10)


def test_a_network_as_it_is_gives_copies_with_its_weights(nets):
    first, second = build("ournets:net", seed=1), build("ournets:net", seed=2)
    assert same(first.state_dict(), second.state_dict())
    with torch.no_grad():
        first[1].weight.zero_()
    assert second[1].weight.abs().sum() > 0


@pytest.mark.parametrize(
    ("name", "found"),
    [
        ("ournets:no", "cannot be imported (module 'ournets' has no attribute 'no')"),
        ("nowhere:net", "No module named 'nowhere', looked for in "),
        ("ournets:number", "is a int, neither a function nor a network"),
        ("ournets:one", "cannot be called as one(classes, channels) (too many positional"),
        ("ournets:broken", "failed for 10 classes and 1 channels (AttributeError: 'int' object"),
        ("ournets:broken", "ournets.py, line 21)"),
        ("ournets:nothing", "gave a NoneType, not a nn.Module"),
        ("./ournets.py:net", "one of your own is named by its import path"),
    ],
)
def test_what_makes_no_network_is_one_clear_message(nets, name, found):
    with pytest.raises(UserError, match=re.escape(found)):
        build(name)


def test_the_first_import_draws_no_numbers_from_the_run(nets):
    assert same(*(build("ournets:small", seed=3).state_dict() for _ in range(2)))


def test_a_network_with_other_outputs_than_classes_is_refused_before_training(nets, tmp_path):
    with pytest.raises(UserError, match=r"shape \(2, 5\) for two images of 10 classes"):
        checked_data(resolve("digits", ["model.name=ournets:five"]).config)


def test_a_network_that_cannot_be_built_without_numbers_is_not_refused_for_that(nets):
    with Path("ournets.py").open("a") as file:
        file.write("def seeing(c, k):\n    torch.ones(1).item()\n    return small(c, k)\n")
    checked_data(resolve("digits", ["model.name=ournets:seeing"]).config)
