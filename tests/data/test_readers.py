"""Every reader on made-up data in its published layout, and on data that are not right."""

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image

from famus_ray import UserError
from famus_ray.config.schema import DataConfig, NoiseConfig
from famus_ray.data.catalog import load_dataset
from famus_ray.data.made_up import MAKERS, make

CLASSES = {
    "cifar10": 10, "cifar100": 100, "cnwl_red": 100, "cnwl_blue": 100, "webvision_mini": 50,
    "webvision": 1000, "clothing1m": 14, "folders": 4, "tables": 4,
}  # fmt: skip
UNKNOWN = ("cnwl_red", "cnwl_blue", "webvision_mini", "webvision", "clothing1m", "folders")


@pytest.fixture(scope="module")
def made(tmp_path_factory):
    root = tmp_path_factory.mktemp("data")
    for name in MAKERS:
        make(name, root / name, images=100, size=24)
    return root


def load(made, name, noise=None, seed=0, **settings):
    settings = {
        "root": str(made / name), "image_size": 20, "meta_per_class": 0,
        "validation_fraction": 0.0, **settings,
    }  # fmt: skip
    return load_dataset(DataConfig(name=name, **settings), noise or NoiseConfig(), seed)


@pytest.mark.parametrize("name", MAKERS)
def test_every_layout_is_read(made, name):
    data = load(made, name)
    assert data.classes == CLASSES[name]
    assert len(data.train) == (200 if name == "webvision" else 100)
    side = 32 if name.startswith("cifar") else 20
    assert data.train.pixels.shape == (len(data.train), 3, side, side)
    assert data.train.pixels.dtype == torch.uint8
    unknown = (data.train.true_labels == -1).all()
    assert unknown == (name in UNKNOWN)
    for split in (data.test, *data.more_tests.values()):
        assert (split.labels == split.true_labels).all()
        assert len(split) >= 50


def test_a_class_looks_the_same_in_every_split(made):
    """So the labels belong to their images, whatever list or folder they come from."""
    for name in ("webvision_mini", "clothing1m", "cnwl_red", "folders", "tables"):
        data = load(made, name, noise_level=0.0)
        tests = {"test": data.test, "meta": data.meta, **data.more_tests}
        if name == "clothing1m":
            tests |= {"validation": data.validation}
        middle = data.test.pixels[:, :, 4:6, 4:6].float().mean((2, 3))
        colour = {int(y): c for y, c in zip(data.test.labels, middle, strict=True)}
        for other in tests.values():
            for y, image in zip(other.labels.tolist(), other.pixels, strict=True):
                assert (image[:, 4:6, 4:6].float().mean((1, 2)) - colour[y]).abs().max() < 60


def test_webvision_has_ilsvrc12_as_a_second_test_set(made):
    data = load(made, "webvision_mini")
    assert list(data.more_tests) == ["imagenet"]
    assert sorted(set(data.more_tests["imagenet"].labels.tolist())) == list(range(50))


def test_clothing1m_validates_and_meta_learns_on_its_clean_images(made):
    data = load(made, "clothing1m", meta_per_class=2, validation_fraction=0.5)
    assert len(data.train) == 100
    assert len(data.validation) == 50
    assert torch.bincount(data.meta.labels).tolist() == [2] * 14


def test_the_training_folders_of_famus_hold_the_same_images(made, tmp_path):
    """all_images/ against training_s32/<split>/<label>/."""
    other = tmp_path / "cnwl_red"
    (other / "split").mkdir(parents=True)
    (other / "validation_s32").symlink_to(made / "cnwl_red" / "validation")
    for file in (made / "cnwl_red" / "split").iterdir():
        (other / "split" / file.name).write_bytes(file.read_bytes())
    split = "red_noise_nl_0.4"
    for line in (other / "split" / split).read_text().splitlines():
        name, label = line.split()
        target = other / "training_s32" / split / label / name
        target.parent.mkdir(parents=True, exist_ok=True)
        target.symlink_to(made / "cnwl_red" / "all_images" / name)
    first = load(made, "cnwl_red", noise_level=0.4)
    second = load(tmp_path, "cnwl_red", noise_level=0.4)
    assert torch.equal(first.train.labels, second.train.labels)
    assert torch.equal(first.train.pixels, second.train.pixels)
    assert not torch.equal(first.train.labels, load(made, "cnwl_red").train.labels)


def test_tables_know_true_labels_and_parquet_equals_csv(made, tmp_path):
    first = load(made, "tables", meta_per_class=3)
    assert (first.meta.labels == first.meta.true_labels).all()
    wrong = (first.train.labels != first.train.true_labels).float().mean()
    assert 0.05 < wrong < 0.3
    for split in ("train", "test"):
        frame = pd.read_csv(made / "tables" / f"{split}.csv")
        frame["path"] = str(made / "tables") + "/" + frame["path"]  # in full, too
        (tmp_path / "tables").mkdir(exist_ok=True)
        frame.to_parquet(tmp_path / "tables" / f"{split}.parquet")
    second = load(tmp_path, "tables", meta_per_class=3)
    assert torch.equal(first.train.pixels, second.train.pixels)
    assert torch.equal(first.train.labels, second.train.labels)


def test_cifar_n_labels_come_from_their_file(made):
    path = made / "cifar10" / "CIFAR-10_human.pt"
    noise = NoiseConfig(kind="file", file=str(path), column="worse_label")
    train = load(made, "cifar10", noise).train
    assert 0.05 < (train.labels != train.true_labels).float().mean() < 0.35


def test_images_in_memory_are_the_middle_of_their_files(made):
    data = load(made, "folders", image_size=24)
    place = int((data.train.labels == 2).nonzero()[0, 0])
    files = sorted((made / "folders" / "train").glob("*/*.jpg"))
    image = torch.from_numpy(np.array(Image.open(files[place]))).permute(2, 0, 1)
    assert files[place].parent.name == "cup"
    assert torch.equal(data.train.pixels[place], image[:, :, 3:27])


def damage(root, name):
    """What a user may have done, and a part of what must be said."""
    match name:
        case "cnwl_red":
            (root / "split" / "red_noise_nl_0.2").unlink()
            return "red_noise_nl_0.2: missing"
        case "webvision_mini":
            (root / "info" / "val_filelist.txt").write_text("a.jpg 7\nb.jpg seven\n")
            return "val_filelist.txt: line 2: label seven is not a whole number"
        case "webvision":
            (root / "info" / "synsets.txt").unlink()
            return "synsets.txt: missing"
        case "clothing1m":
            kv = root / "noisy_label_kv.txt"
            kv.write_text("".join(kv.read_text().splitlines(keepends=True)[:-3]))
            return "no label for 3 images of noisy_train, such as images/"
        case "folders":
            image = next((root / "test").glob("*/*.jpg"))
            (root / "test" / "spoon").mkdir()
            image.rename(root / "test" / "spoon" / image.name)
            return "has the class 'spoon'"
        case "tables":
            (root / "test.csv").write_text("path,lable\na,b\n")
            return "test.csv: no column label"
    return None


@pytest.mark.parametrize("name", [n for n in MAKERS if not n.startswith("cifar")])
def test_what_is_missing_or_damaged_is_named(tmp_path, name):
    make(name, tmp_path / name, images=20, size=8)
    found = damage(tmp_path / name, name)
    if found is None:
        pytest.fail("no damage for this layout") if name != "cnwl_blue" else None
        (tmp_path / name / "all_images").rename(tmp_path / name / "pictures")
        found = "holds neither all_images/ nor training_s32/"
    with pytest.raises(UserError, match=found):
        load(tmp_path, name)


@pytest.mark.parametrize("content", [None, b"junk"])
def test_an_image_that_cannot_be_read_is_named(tmp_path, content):
    make("folders", tmp_path / "folders", images=8, size=8)
    path = sorted((tmp_path / "folders" / "train").glob("*/*.jpg"))[3]
    path.unlink() if content is None else path.write_bytes(content)
    if content is None:
        path.symlink_to("nowhere.jpg")
    with pytest.raises(UserError, match=f"{Path(path.name)}: cannot be read as an image"):
        load(tmp_path, "folders")


def test_image_files_need_a_size(made):
    with pytest.raises(UserError, match=r"data.image_size: folders has images of many sizes"):
        load(made, "folders", image_size=None)


def test_a_class_of_the_test_set_without_training_images_is_refused(tmp_path):
    make("tables", tmp_path / "tables", images=40, size=8)
    numbers = {"apple": 0, "bell": 1, "cup": 2, "drum": 3}
    for split in ("train", "test"):
        path = tmp_path / "tables" / f"{split}.csv"
        frame = pd.read_csv(path)
        frame = frame[["path"]].assign(label=frame["label"].map(numbers))
        kept = frame[frame["label"] != 2] if split == "train" else frame
        kept.to_csv(path, index=False)
    with pytest.raises(UserError, match=r"test\.csv: has the class '2' \(\d+ images\)"):
        load(tmp_path, "tables")
