"""Images that cannot be read: all of them named before training, or left out and counted."""

from __future__ import annotations

import json
import pickle
import sys
import warnings
from pathlib import Path

import numpy as np
import pytest
import torch
from PIL import Image

from famus_ray.cli import main
from famus_ray.config import resolve
from famus_ray.data.catalog import Dataset, load_dataset
from famus_ray.data.check import check_data
from famus_ray.data.made_up import make
from famus_ray.data.record import changes, labels_of, record
from famus_ray.errors import UserError

COUNTS = {"train": 20, "test": 6}  # of each of two classes


def number(split: str, label: str, place: int) -> int:
    """The grey of an image, another one for each image of a split."""
    return place + (100 if label == "dog" else 0) + (50 if split == "test" else 0)


@pytest.fixture
def root(tmp_path: Path) -> Path:
    """Class folders `train/cat/00.png`, ..., each image of a grey of its own."""
    folder = tmp_path / "our photos"
    for split, count in COUNTS.items():
        for label in ("cat", "dog"):
            (folder / split / label).mkdir(parents=True)
            for place in range(count):
                grey = np.full((8, 8, 3), number(split, label, place), np.uint8)
                Image.fromarray(grey).save(folder / split / label / f"{place:02}.png")
    return folder


def damage(root: Path, *names: str) -> None:
    for name in names:
        path = root / f"{name}.png"
        path.write_bytes(path.read_bytes()[:40])


def settings(root: Path, *more: str) -> tuple[str, ...]:
    return (
        "data.name=folders", f"data.root={root}", "data.image_size=8", "data.meta_per_class=2",
        "noise.kind=none", "noise.rate=0", "method=ce", "run.batch_size=8", *more,
    )  # fmt: skip


def load(root: Path, *more: str) -> Dataset:
    config = resolve("digits", settings(root, *more)).config
    return load_dataset(config.data, config.noise, config.run.seed)


def read(data: Dataset, name: str) -> torch.Tensor:
    split = getattr(data, name)
    pixels = split.pixels
    return pixels if isinstance(pixels, torch.Tensor) else pixels.load(torch.arange(len(split)))


LEAVE_OUT = "data.damaged=leave_out"
STORAGES = ("data.storage=memory", "data.storage=disk")
LOST = ("train/cat/03", "train/dog/00", "train/dog/19", "test/cat/05")


def test_one_message_names_the_damaged_images_of_all_splits(root: Path):
    damage(root, *LOST, "train/cat/04", "train/cat/05", "test/dog/00")
    with pytest.raises(UserError) as error:
        load(root)
    told = str(error.value)
    assert told.startswith("7 images cannot be read: ")
    assert told.count(".png (") == 5
    assert f" and 2 more; `famus-ray data check '{root}' --all` lists them, and " in told
    assert "data.damaged=leave_out leaves them out" in told
    assert "\n" not in told
    assert str(pickle.loads(pickle.dumps(error.value))) == told


def test_one_damaged_image_is_named_with_the_reason(root: Path):
    (root / "train/cat/03.png").write_bytes(b"")
    path = root / "train/cat/03.png"
    with pytest.raises(UserError, match=rf"^{path}: .* \(the file is empty\); .* leaves them out$"):
        load(root)


@pytest.mark.parametrize("storage", STORAGES)
def test_the_others_keep_their_place_in_the_data_set(root: Path, storage: str):
    whole = load(root, storage)
    damage(root, *LOST)
    with pytest.warns(UserWarning, match="leave_out"):
        data = load(root, storage, LEAVE_OUT)
    assert data.left_out == {"train": 3, "test": 1}
    parts = [data.train, data.meta, data.validation]
    ids = torch.cat([part.ids for part in parts]).sort().values
    assert ids.tolist() == [i for i in range(40) if i not in (3, 20, 39)]
    assert data.test.ids.tolist() == [i for i in range(12) if i != 5]
    for name in ("train", "meta", "validation", "test"):
        split = getattr(data, name)
        count = COUNTS.get(name, COUNTS["train"])
        of = "test" if name == "test" else "train"
        greys = [number(of, ("cat", "dog")[i // count], i % count) for i in split.ids.tolist()]
        assert read(data, name)[:, 0, 4, 4].tolist() == greys
        assert split.labels.tolist() == [i // count for i in split.ids.tolist()]
    assert len(data.meta) == len(whole.meta) == 4


def test_a_label_file_still_lists_all_images(root: Path, tmp_path: Path):
    damage(root, *LOST)
    labels = [int(i in (5, 6, 21)) for i in range(40)]
    (tmp_path / "labels.json").write_text(str(labels))
    noise = ("noise.kind=file", f"noise.file={tmp_path / 'labels.json'}")
    with pytest.warns(UserWarning, match="leave_out"):
        data = load(root, LEAVE_OUT, "data.validation_fraction=0", *noise)
    assert data.train.labels.tolist() == [labels[i] for i in data.train.ids.tolist()]
    assert len(data.train) == 40 - 3 - 4


@pytest.mark.parametrize("storage", STORAGES)
def test_without_damaged_images_nothing_changes(root: Path, storage: str):
    whole = load(root, storage)
    with warnings.catch_warnings():
        warnings.simplefilter("error")
        again = load(root, storage, LEAVE_OUT)
    assert again.fingerprint == whole.fingerprint
    assert again.left_out == {}
    assert record(again) == record(whole)


def test_a_run_does_not_go_on_with_other_images_left_out(root: Path):
    damage(root, *LOST)
    with pytest.warns(UserWarning, match="leave_out"):
        data = load(root, LEAVE_OUT)
    then, labels = record(data), labels_of(data)
    with pytest.warns(UserWarning, match="leave_out"):
        again = load(root, LEAVE_OUT)
    assert changes(then, labels, again) == []
    damage(root, "train/cat/10")
    with pytest.warns(UserWarning, match="leave_out"):
        later = load(root, LEAVE_OUT)
    assert then["left_out"] == {"train": 3, "test": 1}
    assert changes(then, labels, later)
    assert later.fingerprint != data.fingerprint


def test_a_missing_file_of_a_table_is_left_out(root: Path):
    for split in COUNTS:
        files = sorted((root / split).rglob("*.png"))
        rows = [f"{path.relative_to(root)},{path.parent.name}" for path in files]
        (root / f"{split}.csv").write_text("\n".join(["path,label", *rows]) + "\n")
    (root / "train/cat/07.png").unlink()
    with pytest.raises(UserError, match=r"train/cat/07.png: .* \(no such file\)"):
        load(root, "data.name=tables")
    with pytest.warns(UserWarning, match=rf"1 of 52 images .*1 of train.*{root}/train/cat/07.png"):
        assert load(root, "data.name=tables", LEAVE_OUT).left_out == {"train": 1}


def test_a_split_without_a_whole_image_is_refused(root: Path):
    damage(root, *(f"test/{label}/{i:02}" for label in ("cat", "dog") for i in range(6)))
    with pytest.raises(UserError, match=rf"leaves no image of test; {root}/test/cat/00.png: "):
        load(root, LEAVE_OUT)


def test_a_run_tells_and_records_what_it_left_out(
    root: Path, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
):
    damage(root, *LOST)
    more = ("schedule.epochs=1", "model.widths=[8,8,8]", "run.threads=1", f"run.root={tmp_path}")
    words = ("train", "digits", *settings(root, *more, LEAVE_OUT), "--name", "a")
    monkeypatch.setattr(sys, "argv", ["famus-ray", *words])
    with pytest.raises(SystemExit) as ended:
        main()
    assert not ended.value.code
    expected = (
        "famus-ray: data.damaged = leave_out: 4 of 52 images cannot be read and are left out "
        f"(3 of train, 1 of test), such as {root}/train/cat/03.png"
    )
    assert capsys.readouterr().err.splitlines().count(expected) == 1
    manifest = json.loads((tmp_path / "a" / "manifest.json").read_text())
    assert manifest["data"]["left_out"] == {"train": 3, "test": 1}


def test_the_check_names_them(root: Path):
    damage(root, *LOST)
    found = [f for f in check_data("folders", root, every=True) if f.level == "damaged"]
    assert [f.what.partition(".png: ")[0] for f in found] == [str(root / name) for name in LOST]
    assert all("data.damaged=leave_out" in f.mend for f in found)


def test_grey_networks_see_one_channel(root: Path):
    data = load(root, "data.channels=1")
    assert data.channels == 1
    assert data.train.pixels.shape[1:] == (1, 8, 8)
    assert data.test.pixels[:, 0, 0, 0].tolist()[:3] == [50, 51, 52]
    # the luma of ImageNet's mean; 0.226 is the largest deviation that its colours allow
    assert data.mean == pytest.approx((0.459,), abs=1e-3)
    assert data.std == pytest.approx((0.226,), abs=1e-3)
    from_disk = load(root, "data.channels=1", "data.storage=disk")
    assert torch.equal(read(from_disk, "train"), data.train.pixels)


def test_arrays_are_not_turned_grey(tmp_path: Path):
    make("cifar10", tmp_path / "cifar", images=200)
    config = resolve("cifar10", (f"data.root={tmp_path / 'cifar'}", "data.channels=1")).config
    with pytest.raises(UserError, match=r"data.channels = 1: cifar10 gives arrays of 3 channels"):
        load_dataset(config.data, config.noise, 0)
