"""Folders of images as people have them: which images count, to which class, and what is told."""

import os
import struct
from io import BytesIO

import numpy as np
import pytest
from PIL import Image

from famus_ray import UserError
from famus_ray.config.schema import DataConfig, NoiseConfig
from famus_ray.data.catalog import load_dataset
from famus_ray.data.own.findings import findings_on
from famus_ray.data.own.folders import list_folders
from famus_ray.data.own.layout import own_layout


def png(shade=0, kind="PNG"):
    file = BytesIO()
    Image.new("L", (4, 4), shade % 256).save(file, kind)
    return file.getvalue()


def write(root, files):
    """Files by path under `root`; each image has a shade of its own."""
    for number, (name, content) in enumerate(files.items()):
        path = root / name
        path.parent.mkdir(parents=True, exist_ok=True)
        path.write_bytes(png(number) if content is None else content)
    return root


def images(*names):
    return dict.fromkeys(names)


PLAIN = images("cat/1.png", "cat/2.png", "dog/1.png", "dog/2.png")

# What is in the folder beside PLAIN, the images that are added, and a part of what is told.
CASES = {
    "a notebook's checkpoints": (images(".ipynb_checkpoints/1.png"), {}, "1 leftovers of tools"),
    "a file server's folder": (images("@eaDir/1.png"), {}, "1 leftovers of tools"),
    "a zip's folder": (images("__MACOSX/cat/._1.png"), {}, "1 leftovers of tools"),
    "a repository": (images(".git/x.png"), {}, "1 leftovers of tools"),
    "a recycle bin": (images("$RECYCLE.BIN/x.png"), {}, "1 leftovers of tools"),
    "lost and found": (images("lost+found/x.png"), {}, "1 leftovers of tools"),
    "a resource fork": ({"cat/._1.png": b"x"}, {}, "1 leftovers of tools (cat/._1.png)"),
    "a desktop's file": ({"cat/.DS_Store": b"x"}, {}, "1 leftovers of tools"),
    "thumbnails": ({"dog/Thumbs.db": b"x"}, {}, "1 leftovers of tools (dog/Thumbs.db)"),
    "folders below a class": (images("cat/2023/5/x.png"), {"cat/2023/5/x.png": "cat"}, ""),
    "a leftover below a class": (images("cat/.cache/x.png"), {}, "leftovers of tools (cat/.cache)"),
    "upper case": (images("cat/X.PNG"), {"cat/X.PNG": "cat"}, ""),
    "a bitmap": ({"cat/x.bmp": png(9, "BMP")}, {"cat/x.bmp": "cat"}, ""),
    "a tiff": ({"cat/x.tif": png(9, "TIFF")}, {"cat/x.tif": "cat"}, ""),
    "a pixmap": ({"cat/x.ppm": png(9, "PPM")}, {"cat/x.ppm": "cat"}, ""),
    "jfif": ({"cat/x.jfif": png(9, "JPEG")}, {"cat/x.jfif": "cat"}, ""),
    "no ending": ({"cat/x": png(9)}, {"cat/x": "cat"}, ""),
    "another ending": ({"cat/x.jpg_large": png(9)}, {"cat/x.jpg_large": "cat"}, ""),
    "a text": ({"cat/notes.txt": b"hello"}, {}, "1 .txt files, which are no images"),
    "a film": ({"cat/x.mp4": b"\0\0"}, {}, "1 .mp4 files, which are no images (cat/x.mp4)"),
    "no class": (images("x.png"), {}, "1 files in no class's folder (x.png)"),
    "blanks": (images("cat/a b.png"), {"cat/a b.png": "cat"}, ""),
    "a class in Chinese": (images("狗/1.png"), {"狗/1.png": "狗"}, ""),
    "a digit that int does not read": (images("²/1.png"), {"²/1.png": "²"}, ""),
}


@pytest.mark.parametrize(("more", "added", "told"), CASES.values(), ids=CASES)
def test_what_counts_as_an_image_of_which_class(tmp_path, more, added, told):
    own = list_folders(write(tmp_path, {**PLAIN, **more}))
    train = own.splits["train"]
    found = dict(zip(train.files.names.to_pylist(), train.labels, strict=True))
    assert found == {name: name.split("/")[0] for name in PLAIN} | added
    assert told in " ".join(finding.what for finding in own.findings)
    assert bool(own.findings) == bool(told)


def test_classes_that_are_numbers_are_in_the_order_of_numbers(tmp_path):
    write(tmp_path, images("10/1.png", "9/1.png", "9/2.png", "10/2.png", "1/1.png", "1/2.png"))
    data = DataConfig(name="own", root=str(tmp_path), image_size=4, meta_per_class=0,
                      validation_fraction=0, test_fraction=0.5)  # fmt: skip
    assert load_dataset(data, NoiseConfig(), 0).class_names == ("1", "9", "10")


def test_a_class_without_images_is_named_and_is_none(tmp_path):
    (write(tmp_path, PLAIN) / "bird").mkdir()
    own = list_folders(tmp_path)
    assert set(own.splits["train"].labels) == {"cat", "dog"}
    assert own.findings[0].what.endswith("no images of bird")


def test_splits_are_found_by_their_usual_names(tmp_path):
    names = [f"{split}/{c}/{i}.png" for split in ("Training", "val") for c in "ab" for i in "12"]
    own = list_folders(write(tmp_path, images(*names, "val/readme.txt")))
    assert {split: len(part) for split, part in own.splits.items()} == {"train": 4, "test": 4}
    write(tmp_path, images("test/a/1.png", "meta/b/1.png"))
    own = list_folders(tmp_path)
    assert set(own.splits) == {"train", "test", "validation", "meta"}
    assert any("has no class b, train has" in finding.what for finding in own.findings)


REFUSED = {
    "nothing": ({}, "no images in folders of their classes"),
    "no images": ({"cat/x.txt": b"x", "dog/x.txt": b"x"}, "no images in folders"),
    "one class": (images("cat/1.png", "cat/2.png"), "has one class only, cat"),
    "one level too high": (images("photos/cat/1.png", "photos/dog/1.png"), "name .*photos"),
}


@pytest.mark.parametrize(("files", "message"), REFUSED.values(), ids=REFUSED)
def test_what_is_refused(tmp_path, files, message):
    with pytest.raises(UserError, match=message):
        list_folders(write(tmp_path, files))


def test_names_that_are_not_utf_8_are_left_out_or_refused(tmp_path):
    write(tmp_path, PLAIN)
    (tmp_path / "cat" / os.fsdecode(b"caf\xe9.png")).write_bytes(png(1))
    told = list_folders(tmp_path).findings[0].what
    assert told == (
        r"left out: 1 files whose names are not UTF-8; rename them (cat/caf\xe9.png)"
    )  # fmt: skip
    (tmp_path / os.fsdecode(b"caf\xe9")).mkdir()
    (tmp_path / os.fsdecode(b"caf\xe9") / "x.png").write_bytes(png(1))
    with pytest.raises(UserError, match="has a name that is not UTF-8; rename it"):
        list_folders(tmp_path)


def test_classes_that_look_alike_and_images_that_are_there_twice_are_told(tmp_path):
    files = {**PLAIN, "Cat/1.png": None, "dog/copy.png": png(2), "cat/copy.png": png(3)}
    told = [finding.what for finding in findings_on(list_folders(write(tmp_path, files)))]
    assert "classes of train: Cat 1, cat 3, dog 3" in told
    assert any("'Cat' (1) and 'cat' (3)" in what for what in told)
    assert "1 images are there twice in a class, such as dog/1.png and dog/copy.png" in told
    assert "1 images are there in two classes, such as cat/copy.png and dog/2.png" in told


def test_joined_labels_are_one_class(tmp_path):
    write(tmp_path, {**PLAIN, **images("Cat/1.png", "dog /1.png", "dog/3.png", "cat/3.png")})
    data = DataConfig(name="own", root=str(tmp_path), image_size=4, meta_per_class=0,
                      validation_fraction=0, test_fraction=0.25)  # fmt: skip
    assert load_dataset(data, NoiseConfig(), 0).classes == 4
    joined = data.model_copy(update={"join_labels": True})
    assert load_dataset(joined, NoiseConfig(), 0).class_names == ("cat", "dog")


def test_the_test_set_is_split_off_by_class_the_same_for_every_seed(tmp_path):
    write(tmp_path, images(*(f"{c}/{i:02}.png" for c in "abc" for i in range(20))))
    data = DataConfig(name="own", root=str(tmp_path), image_size=4, meta_per_class=0)
    first, other = (load_dataset(data, NoiseConfig(), seed) for seed in (0, 1))
    names = first.files["test"].names.to_pylist()
    assert sorted(name[0] for name in names) == ["a", "a", "b", "b", "c", "c"]
    assert names == other.files["test"].names.to_pylist()
    assert not set(names) & set(first.files["train"].names.to_pylist())
    with pytest.raises(UserError, match=r"data\.test_fraction = 0 of 60 images leaves none"):
        load_dataset(data.model_copy(update={"test_fraction": 0.0}), NoiseConfig(), 0)


def idx(values):
    head = struct.pack(f">HBB{values.ndim}I", 0, 8, values.ndim, *values.shape)
    return head + values.tobytes()


def test_idx_files_are_read(tmp_path):
    pixels = np.arange(40 * 16, dtype=np.uint8).reshape(40, 4, 4)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(pixels))
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.arange(40, dtype=np.uint8) % 2 + 5))
    assert own_layout(tmp_path) == "idx"
    data = DataConfig(name="own", root=str(tmp_path), meta_per_class=0, validation_fraction=0)
    found = load_dataset(data, NoiseConfig(), 0)
    assert found.class_names == ("5", "6")
    assert found.train.pixels.shape == (36, 1, 4, 4)
    assert len(found.test) == 4
    (tmp_path / "train-labels-idx1-ubyte").write_bytes(idx(np.zeros(39, np.uint8)))
    with pytest.raises(UserError, match=r"has 40 images, .* has 39"):
        load_dataset(data, NoiseConfig(), 0)
    (tmp_path / "train-images-idx3-ubyte").write_bytes(idx(pixels)[:50])
    with pytest.raises(UserError, match="train-images-idx3-ubyte: damaged"):
        load_dataset(data, NoiseConfig(), 0)
