"""Corrected labels: which rows count, what becomes of them, and the settings that are chosen."""

import numpy as np
import pytest
from PIL import Image

from famus_ray import UserError
from famus_ray.config.resolve import resolve
from famus_ray.data.catalog import load_dataset
from famus_ray.data.own.choices import resolve_run


@pytest.fixture
def photos(tmp_path):
    rng = np.random.default_rng(0)
    for name in ("cat", "dog"):
        (tmp_path / "photos" / name).mkdir(parents=True)
        for i in range(20):
            pixels = rng.integers(0, 255, (12, 10, 3), np.uint8)
            Image.fromarray(pixels).save(tmp_path / "photos" / name / f"{i:02}.png")
    return tmp_path / "photos"


def load(photos, text, *settings):
    table = photos.parent / "corrected.csv"
    table.write_text(text)
    chosen = resolve_run(photos, [f"labels={table}", *settings]).resolved
    config = chosen.config
    return load_dataset(config.data, config.noise, 0), chosen


def labels(data):
    """Class names by file, of the training images and those held out of them."""
    parts = (data.train, data.meta, data.validation)
    names = data.files["train"].names
    return {
        names[i].as_py(): (data.class_names[label], truth)
        for part in parts
        for i, label, truth in zip(
            part.ids.tolist(), part.labels.tolist(), part.true_labels.tolist(), strict=True
        )
    }


def in_train(photos):
    config = resolve_run(photos).resolved.config
    return load_dataset(config.data, config.noise, 0).files["train"].names.to_pylist()


def test_every_row_of_a_table_counts_and_its_truth_is_known(photos):
    first, second = in_train(photos)[:2]
    data, _ = load(photos, f"path,label\n{first},dog\n{second},cat\n", "method=ce")
    found = labels(data)
    assert found[first] == ("dog", 1)
    assert found[second] == ("cat", 0)
    assert sum(truth != -1 for _, truth in found.values()) == 2


def test_of_our_own_list_the_changed_and_the_marked_rows_count(photos):
    names = in_train(photos)[:3]
    rows = [f"{names[0]};dog;", f"{names[1]};cat;x", f"{names[2]};cat;"]
    data, _ = load(photos, "\n".join(["file;label;checked", *rows]), "method=ce")
    truths = [labels(data)[name] for name in names]
    assert truths == [("dog", 1), ("cat", 0), ("cat", -1)]


def test_checked_images_are_the_meta_set_of_famus(photos):
    names = in_train(photos)
    chosen = [n for n in names if n.startswith("cat")][:4] + [n for n in names if n[0] == "d"][:4]
    text = "path,label\n" + "".join(f"{n},{n[:3]}\n" for n in chosen)
    data, resolved = load(photos, text, "data.validation_fraction=0", "run.select=test")
    assert resolved.config.method.name == "famus"
    assert resolved.sources["method.name"] == (
        "chosen: 8 checked labels serve as the clean meta set"
    )
    assert {data.files["train"].names[i].as_py() for i in data.meta.ids.tolist()} == set(chosen)
    assert not set(data.meta.ids.tolist()) & set(data.train.ids.tolist())


MISTAKES = {
    "path,label\nnowhere.png,cat\n": r"corrected\.csv: row 2: 'nowhere\.png' is none of the",
    "path,label\n{0},cats\n": r"row 2: 'cats' is not one of the 2 classes, did you mean 'cat'",
    "path,label\n{0},\n": "row 2",
    "path\n{0}\n": "no column label",
}


@pytest.mark.parametrize(("text", "message"), MISTAKES.items())
def test_mistakes_are_named(photos, text, message):
    with pytest.raises(UserError, match=message):
        load(photos, text.format(in_train(photos)[0]))


def test_settings_are_chosen_by_the_images_and_can_be_overridden(photos):
    chosen = resolve_run(photos, ["data.image_size=8"])
    config, sources = chosen.resolved.config, chosen.resolved.sources
    assert (config.data.name, config.data.root) == ("own", str(photos))
    assert (config.data.image_size, sources["data.image_size"]) == (8, "command line")
    assert (config.data.channels, sources["data.channels"]) == (3, "chosen: images are colour")
    assert config.noise.kind == "none"
    assert config.run.batch_size <= 9
    assert any(line.startswith("run.batch_size=") for line in chosen.told)
    assert (
        resolve_run("own", [f"data.root={photos}", "data.image_size=8"]).resolved
        == (chosen.resolved)
        or resolve_run("own", [f"data.root={photos}"]).resolved.config.data.image_size == 10
    )


def test_a_preset_that_adds_noise_is_refused_for_own_data(photos):
    settings = ["data=own", f"data.root={photos}", "data.image_size=8"]
    with pytest.raises(UserError, match="digits adds wrong labels, and nobody knows which"):
        resolve("digits", settings)
    assert resolve("digits", [*settings, "noise=symmetric"]).config.noise.rate == 0.4
    assert resolve("digits", [*settings, "noise=none"]).config.noise.kind == "none"
