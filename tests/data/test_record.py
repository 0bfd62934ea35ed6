"""A run that goes on with other data than it began with is refused, and told what is different."""

from __future__ import annotations

import json
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from famus_ray.config import resolve
from famus_ray.data.catalog import Dataset, load_dataset
from famus_ray.data.record import changes, labels_of, record
from famus_ray.errors import UserError
from famus_ray.records.run_folder import RunFolder
from famus_ray.training.loop import epochs

TINY = ("method=ce", "model.widths=[8,8,8]", "run.threads=1", "schedule.epochs=2")


@pytest.fixture(scope="module")
def digits() -> Dataset:
    config = resolve("digits", TINY).config
    data = load_dataset(config.data, config.noise, config.run.seed)
    return replace(data, train=data.train[torch.arange(64)], test=data.test[torch.arange(40)])


def relabelled(data: Dataset) -> Dataset:
    labels = data.train.labels.clone()
    labels[3] = (labels[3] + 1) % 10
    return replace(data, train=replace(data.train, labels=labels), fingerprint="another")


def repainted(data: Dataset) -> Dataset:
    return replace(data, test=replace(data.test, pixels=255 - data.test.pixels))


CHANGES = {
    "an image fewer": (lambda d: replace(d, train=d.train[torch.arange(63)], fingerprint="another"),
                       "63 training images, 64 then"),
    "a class more": (lambda d: replace(d, classes=11), "11 classes, 10 then"),
    "a label": (relabelled, r"1 labels are others \(id \d+\)"),
    "test images": (repainted, "other test images"),
}  # fmt: skip


@pytest.mark.parametrize(("change", "told"), CHANGES.values(), ids=CHANGES)
def test_a_run_does_not_go_on_with_other_data(tmp_path: Path, digits: Dataset, change, told):
    config, folder = resolve("digits", TINY).config, RunFolder(tmp_path / "run")
    next(epochs(config, folder, data=digits))
    before = {p: p.read_bytes() for p in folder.path.rglob("*") if p.is_file()}
    with pytest.raises(UserError, match=f"the data have changed since this run began: {told}"):
        next(epochs(config, folder, data=change(digits)))
    assert {p: p.read_bytes() for p in folder.path.rglob("*") if p.is_file()} == before
    assert len(list(epochs(config, folder, data=digits))) == 1


def test_a_run_of_an_older_version_is_held_to_its_fingerprint(tmp_path: Path, digits: Dataset):
    config, folder = resolve("digits", TINY).config, RunFolder(tmp_path / "run")
    next(epochs(config, folder, data=digits))
    manifest = json.loads((folder.path / "manifest.json").read_text())
    for new in ("contents", "classes"):
        del manifest["data"][new]
    (folder.path / "manifest.json").write_text(json.dumps(manifest))
    folder.check_data(digits)
    with pytest.raises(UserError, match="1 labels are others"):
        folder.check_data(relabelled(digits))


def images(root: Path, size: int = 8) -> None:
    for split in ("train", "test"):
        for label in ("cat", "dog"):
            for number in range(12):
                path = root / split / label / f"{number}.png"
                path.parent.mkdir(parents=True, exist_ok=True)
                Image.fromarray(np.full((size, size, 3), number, np.uint8)).save(path)


@pytest.mark.parametrize("storage", ["memory", "disk"])
def test_image_files_are_known_by_name(tmp_path: Path, storage):
    images(tmp_path)
    settings = ("data.name=folders", f"data.root={tmp_path}", "data.image_size=8",
                "data.meta_per_class=2", "noise.kind=none", f"data.storage={storage}")  # fmt: skip
    config = resolve("digits", settings).config

    def load() -> Dataset:
        return load_dataset(config.data, config.noise, 0)

    then, labels = record(load()), labels_of(load())
    assert changes(then, labels, load()) == []
    image = tmp_path / "train" / "cat" / "3.png"
    Image.fromarray(np.full((9, 9, 3), 200, np.uint8)).save(image)  # as if it was mended
    assert changes(then, labels, load()) == []
    image.rename(image.with_name("3b.png"))
    assert changes(then, labels, load()) == ["other train files"]
    (tmp_path / "train" / "cat" / "new.png").write_bytes(
        (tmp_path / "train" / "cat" / "0.png").read_bytes()
    )
    assert "training images" in changes(then, labels, load())[0]


def test_noise_on_labels_of_unknown_truth_takes_them_as_true(tmp_path: Path):
    """A run of a version that recorded these as unknown goes on."""
    images(tmp_path)
    settings = ("data.name=folders", f"data.root={tmp_path}", "data.image_size=8",
                "data.meta_per_class=2", "noise.kind=symmetric", "noise.rate=0.5")  # fmt: skip
    config = resolve("digits", settings).config
    data = load_dataset(config.data, config.noise, 0)
    assert data.train.true_labels.bincount().tolist() == [9, 9]
    assert data.train.labels.ne(data.train.true_labels).any()
    unknown = {
        name: replace(split, true_labels=torch.full_like(split.true_labels, -1))
        for name in ("train", "meta", "validation")
        for split in [getattr(data, name)]
    }
    earlier = replace(data, **unknown)
    assert changes(record(earlier), labels_of(earlier), data) == []
    assert changes(record(data), labels_of(data), earlier) != []
