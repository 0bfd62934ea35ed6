"""What a call from Python hands over: import paths of objects, and data kept with the run."""

import numpy as np
import pytest
import torch
from torch import nn

import famus_ray as fr
from famus_ray import handed
from famus_ray.config.import_path import imported
from famus_ray.config.resolve import resolve
from famus_ray.own_parts import own_parts

IMAGES = np.arange(60 * 64, dtype=np.uint8).reshape(60, 8, 8)
LABELS = np.arange(60) % 3


def test_what_a_file_defines_is_named_by_where_it_is():
    assert handed.path_of(nn.Flatten) == "torch.nn.modules.flatten:Flatten"
    assert own_parts({"meta": {"grouping": resolve}}).values == {
        "meta": {"grouping": "famus_ray.config.resolve:resolve"}
    }


def test_what_has_no_name_is_held_under_one_that_tells_it_from_others():
    def local(classes, channels):
        return nn.Linear(classes, channels)

    paths = [
        handed.path_of(local),
        handed.path_of(lambda c, k: None),
        handed.path_of(nn.Linear(2, 3)),
    ]
    assert all(handed.lives_here(path) for path in paths)
    assert len({*paths}) == 3
    assert imported(paths[0]) is local
    with pytest.raises(ValueError, match="handed over in Python and is not in this process"):
        imported("famus_ray.handed:gone_00000000")


def test_a_network_is_held_as_it_was():
    network = nn.Linear(2, 3)
    path = handed.path_of(network)
    before = network.weight.detach().clone()
    with torch.no_grad():
        network.weight.zero_()
    assert torch.equal(imported(path).weight, before)
    assert handed.path_of(network) != path


def test_a_folder_as_data_is_own_data_and_a_name_stays_a_name(tmp_path, monkeypatch):
    (tmp_path / "webvision_mini").mkdir()
    (tmp_path / "photos").mkdir()
    monkeypatch.chdir(tmp_path)
    assert own_parts({"data": "webvision_mini"}).values == {"data": "webvision_mini"}
    for data in ("photos", tmp_path / "photos"):
        parts = own_parts({"data": data})
        assert parts.is_own
        assert parts.values["data"]["name"] == "own"


def test_a_meta_set_alone_is_refused():
    with pytest.raises(fr.UserError, match="meta: was handed over, and data was not"):
        own_parts({"meta": (IMAGES, LABELS)})


def test_data_of_a_run_that_could_not_begin_are_not_left_behind(tmp_path):
    with pytest.raises(fr.UserError, match=r"shape \(2, 5\) for two images of 3 classes"):
        fr.train(
            "own", data=(IMAGES, LABELS), model=nn.Sequential(nn.Flatten(), nn.Linear(64, 5)),
            run={"root": str(tmp_path), "name": "refused"}, quiet=True,
        )  # fmt: skip
    assert not [*tmp_path.rglob("*.npy")]
