"""Labels from CIFAR-N's files and JSON lists, and from files that are not right."""

import json

import numpy as np
import pytest
import torch

from famus_ray import UserError
from famus_ray.config.schema import DataConfig, NoiseConfig
from famus_ray.data.catalog import load_dataset
from famus_ray.data.digits import read_digits
from famus_ray.data.label_files import read_label_file

CLEAN = np.arange(40) % 10
WORSE = np.roll(CLEAN, 3)


@pytest.fixture
def human(tmp_path):
    path = tmp_path / "CIFAR-10_human.pt"
    torch.save({"clean_label": CLEAN, "worse_label": WORSE, "aggre_label": CLEAN}, path)
    return path


def test_a_column_of_a_cifar_n_file(human):
    assert read_label_file(human, "worse_label", CLEAN, 10).tolist() == WORSE.tolist()


def test_a_json_list(tmp_path):
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(WORSE.tolist()))
    assert read_label_file(path, None, CLEAN, 10).tolist() == WORSE.tolist()


def test_files_of_the_old_format_are_read(tmp_path):
    path = tmp_path / "old.pt"
    content = {"clean_label": CLEAN, "noisy_label": WORSE}
    torch.save(content, path, _use_new_zipfile_serialization=False)
    assert read_label_file(path, "noisy_label", CLEAN, 10).tolist() == WORSE.tolist()


class Command:
    def __reduce__(self):
        return print, ("run",)


WRONG = {
    "another order": ({"clean_label": WORSE, "worse_label": CLEAN}, "are not the labels of"),
    "no such column": ({"clean_label": CLEAN}, "worse_label.*has clean_label"),
    "too few": ({"worse_label": CLEAN[:9]}, "9 labels, the data set has 40"),
    "too high": ({"worse_label": WORSE + 1}, "whole numbers 0 to 9"),
    "not whole": ({"worse_label": WORSE / 2}, "not a label file of CIFAR-N: .*whole numbers"),
    "runs code": ({"worse_label": Command()}, "not a label file of CIFAR-N"),
}


@pytest.mark.parametrize("case", WRONG)
def test_a_wrong_file_is_named_with_what_is_wrong(tmp_path, case, capsys):
    content, found = WRONG[case]
    path = tmp_path / "wrong.pt"
    torch.save(content, path)
    with pytest.raises(UserError, match=found) as caught:
        read_label_file(path, "worse_label", CLEAN, 10)
    assert str(path) in str(caught.value)
    assert capsys.readouterr().out == ""


def test_a_missing_or_damaged_file_is_named(tmp_path):
    for name, content in {"a.pt": b"junk", "a.json": b"[1, 2", "b.json": b"[1, 2]"}.items():
        (tmp_path / name).write_bytes(content)
        with pytest.raises(UserError, match=name):
            read_label_file(tmp_path / name, None, CLEAN, 10)
    with pytest.raises(UserError, match="no such file"):
        read_label_file(tmp_path / "nope.pt", None, CLEAN, 10)


def test_a_run_takes_its_training_labels_from_the_file(tmp_path):
    true = read_digits()[0].labels
    path = tmp_path / "labels.json"
    path.write_text(json.dumps(((true + 1) % 10).tolist()))
    data = load_dataset(DataConfig(), NoiseConfig(kind="file", file=str(path)), seed=0)
    assert (data.train.labels == (data.train.true_labels + 1) % 10).all()
    assert (data.validation.labels == data.validation.true_labels).all()
