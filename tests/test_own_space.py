"""A study on one's own images: the space's preset makes way for settings chosen by the images."""

import numpy as np
import pytest
from PIL import Image

import famus_ray as fr
from famus_ray.own_parts import own_parts
from famus_ray.own_space import space_for

IMAGES = np.arange(60 * 64, dtype=np.uint8).reshape(60, 8, 8)
LABELS = np.arange(60) % 3


@pytest.fixture
def photos(tmp_path, monkeypatch):
    """60 grey images of 12 pixels in three folders, with a folder of six clean ones."""
    monkeypatch.chdir(tmp_path)
    rng = np.random.default_rng(0)
    for split, count in {"train": 60, "meta": 6}.items():
        for i in range(count):
            folder = tmp_path / "photos" / split / "abc"[i % 3]
            folder.mkdir(parents=True, exist_ok=True)
            pixels = rng.integers(0, 255, (12, 12), dtype=np.uint8)
            Image.fromarray(pixels).save(folder / f"{i}.png")
    return tmp_path / "photos"


def test_a_folder_decides_what_the_space_leaves_open(photos):
    space, told = space_for("quick", ("data=photos",))
    base = space.base.config
    assert (base.data.name, base.data.root) == ("own", str(photos))
    assert (base.data.image_size, base.data.channels, base.noise.kind) == (12, 1, "none")
    assert (base.method.name, base.data.meta_per_class) == ("famus", 2)
    assert base.schedule.epochs == 6  # of the space
    assert any("data.image_size=12: images are 12x12" in line for line in told)
    assert not any("schedule.epochs" in line for line in told)


def test_the_user_decides_before_the_images(photos):
    base = space_for("quick", ("data=photos", "data.image_size=8"))[0].base.config
    assert base.data.image_size == 8


def test_a_preset_of_the_users_own_stays(photos, tmp_path):
    (tmp_path / "mine.yaml").write_text("data: photos\nrun: {batch_size: 5}\n", encoding="utf-8")
    (tmp_path / "space.yaml").write_text(
        "preset: mine.yaml\nsettings: {method: famus}\n"
        "space: {meta.lr: {type: float, low: 0.001, high: 0.01}}\n",
        encoding="utf-8",
    )
    base = space_for("space.yaml")[0].base.config
    assert (base.run.batch_size, base.data.image_size) == (5, 12)


def test_data_that_are_named_leave_the_spaces_preset(photos):
    space, told = space_for("quick", ("run.seed=1",))
    assert (space.base.config.data.name, told) == ("digits", ())


def test_arrays_add_no_noise_and_what_was_handed_over_counts_as_clean():
    parts = own_parts({"data": (IMAGES, LABELS), "meta": (IMAGES[:7], LABELS[:7])})
    base = space_for("quick", (), parts.values, parts.data)[0].base.config
    assert (base.noise.kind, base.data.name, base.data.meta_per_class) == ("none", "own", 3)


def test_no_label_counts_as_clean_that_nobody_has_checked():
    parts = own_parts({"data": (IMAGES, LABELS)})
    with pytest.raises(fr.UserError, match="learns from a clean meta set; add clean images"):
        space_for("quick", (), parts.values, parts.data)


def test_a_section_that_the_space_searches_is_told():
    with pytest.raises(fr.UserError, match=r"meta.lr is searched; leave out meta.lr="):
        space_for("quick", (), own_parts({"meta": {"lr": 0.1}}).values)
