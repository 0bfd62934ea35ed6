"""The folder of a run: what may differ when it is resumed, and YAML that every reader reads."""

from __future__ import annotations

import pytest
import torch
import yaml

from famus_ray.config import resolve
from famus_ray.errors import UserError
from famus_ray.records.run_folder import RunFolder, config_text


@pytest.fixture
def begun(tmp_path):
    folder = RunFolder(tmp_path)
    (tmp_path / "config.yaml").write_text(config_text(resolve("digits").config))
    return folder


@pytest.mark.parametrize("override", ["run.threads=2", "run.root=elsewhere", "study.trials=7"])
def test_a_setting_that_changes_no_number_may_differ(begun, override):
    begun.check_same(resolve("digits", [override]).config)


def test_every_other_setting_that_differs_is_named(begun):
    with pytest.raises(UserError) as told:
        begun.check_same(resolve("digits", ["optimiser.lr=0.5", "run.seed=3"]).config)
    assert "optimiser.lr is 0.05 there and 0.5 here" in str(told.value)
    assert "run.seed is 0 there and 3 here" in str(told.value)


def test_a_folder_without_a_run_is_none_to_resume(tmp_path):
    with pytest.raises(UserError, match=r"no run to resume: it has no config\.yaml"):
        RunFolder(tmp_path).check_same(resolve("digits").config)


@pytest.mark.parametrize(
    ("override", "key", "value"),
    [("meta.lr=1e-5", "meta.lr", 1e-5), ("run.name='1e3'", "run.name", "1e3"),
     ("run.name='no'", "run.name", "no"), ("run.name=null", "run.name", None)],
)  # fmt: skip
def test_values_are_read_back_as_they_were(override, key, value):
    section, _, name = key.partition(".")
    text = config_text(resolve("digits", [override]).config)
    read = yaml.safe_load(text)[section][name]
    assert read == value
    assert type(read) is type(value)


def test_curves_up_to_an_epoch(begun):
    begun.write_curves([(1, "test/top1", 0.1), (2, "test/top1", 0.2), (3, "test/top1", 0.3)])
    assert begun.read_curves(up_to_epoch=2) == [(1, "test/top1", 0.1), (2, "test/top1", 0.2)]


def test_a_checkpoint_that_is_gone_is_not_begun_anew(begun):
    begun.check_checkpoints()  # nothing was there yet
    begun.write_curves([(1, "test/top1", 0.1), (2, "test/top1", 0.2)])
    with pytest.raises(UserError, match=r"its curves reach epoch 2, but .*last\.pt is gone"):
        begun.check_checkpoints()
    begun.last.parent.mkdir()
    torch.save({}, begun.last)
    begun.check_checkpoints()
