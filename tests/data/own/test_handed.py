"""Arrays, data sets of torch and tables handed over in Python: how they are read and kept."""

import re

import numpy as np
import pandas as pd
import pytest
import torch
from PIL import Image
from torch.utils.data import TensorDataset

from famus_ray import UserError
from famus_ray.config.schema import DataConfig, NoiseConfig
from famus_ray.data.catalog import load_dataset
from famus_ray.data.images import UNKNOWN, Images, Paths, Source
from famus_ray.data.own.array_images import images_of
from famus_ray.data.own.handed import handed_data, is_data
from famus_ray.data.own.layout import own_layout

GREY = np.arange(40 * 5 * 6, dtype=np.uint8).reshape(40, 5, 6)
LABELS = np.arange(40) % 4


def read(pair, **config):
    return handed_data(pair).read(DataConfig(name="own", **config))


@pytest.mark.parametrize(
    ("given", "channels"),
    [
        (GREY, 1),
        (GREY[:, None], 1),
        (GREY[..., None], 1),
        (np.stack([GREY] * 3, 1), 3),
        (np.stack([GREY] * 3, 3), 3),
        (torch.from_numpy(np.stack([GREY] * 3, 1)), 3),
        (GREY.tolist(), 1),
        (GREY.astype(np.int64), 1),
        (GREY / 255, 1),
        (torch.from_numpy(GREY).float() / 255, 1),
    ],
)
def test_axes_and_values_of_images_become_bytes_with_channels_first(given, channels):
    pixels = images_of((given, LABELS), "data").pixels
    assert pixels.dtype == np.uint8
    assert pixels.shape == (40, channels, 5, 6)
    for channel in range(channels):
        np.testing.assert_array_equal(pixels[:, channel], GREY)


@pytest.mark.parametrize(
    ("labels", "names"),
    [
        (LABELS, ("0", "1", "2", "3")),
        (LABELS * 7 + 3, ("3", "10", "17", "24")),  # by value, not as text
        ([*"dcba"] * 10, ("a", "b", "c", "d")),
        (torch.from_numpy(LABELS), ("0", "1", "2", "3")),
        (LABELS.astype(float), ("0", "1", "2", "3")),
        (pd.Series([*"dcba"] * 10, dtype="category"), ("a", "b", "c", "d")),
        (LABELS % 2 == 0, ("False", "True")),
        (np.array(["NA", "null", "001", "1"] * 10), ("001", "1", "NA", "null")),
    ],
)
def test_classes_are_the_labels_that_occur(labels, names):
    images = images_of((GREY, labels), "data")
    assert images.class_names == names
    values = labels.tolist() if hasattr(labels, "tolist") else labels
    told = [str(int(v)) if isinstance(v, float) else str(v) for v in values]
    assert [names[number] for number in images.labels] == told
    assert (images.truth == UNKNOWN).all()


@pytest.mark.parametrize(
    ("pair", "found"),
    [
        ((GREY * 1.0, LABELS), "float64 from 0 to 255; use images.astype('uint8')"),
        ((GREY / 255 - 0.5, LABELS), "scale them to [0, 1]"),
        ((np.where(GREY == 0, np.nan, 0.5), LABELS), "images of float64 from nan to nan"),
        ((GREY.astype(str), LABELS), "they must be uint8, or numbers in [0, 1]"),
        ((GREY[:, :4, :3, None].repeat(3, 3).swapaxes(1, 3), LABELS), "each could be the channels"),
        ((np.stack([GREY] * 9, 1), LABELS), "none can be the channels"),
        ((GREY[0], LABELS), "images of the shape (5, 6)"),
        ((GREY[:0], LABELS[:0]), "there are none"),
        (([GREY[0], GREY[0, 1:]], [0, 1]), "is no array"),
        ((GREY, LABELS[:-1]), "40 images, 39 labels"),
        ((GREY, np.eye(4)[LABELS]), "of one-hot rows take labels.argmax(1)"),
        ((GREY, LABELS + 0.5), "labels of float64"),
        ((GREY, np.where(LABELS == 3, np.nan, LABELS)), "the label at place 3 is missing"),
        ((GREY, [None, *"abc"] * 10), "the label at place 0 is missing"),
        ((GREY, LABELS * 0), "all labels are 0; there must be two classes"),
        ((GREY, LABELS, LABELS), "has 3 parts, not two: (images, labels)"),
    ],
)
def test_what_could_be_read_wrongly_is_refused_with_what_to_change(pair, found):
    with pytest.raises(UserError, match=re.escape(found)) as error:
        handed_data(pair)
    assert str(error.value).startswith("data: ")


@pytest.mark.parametrize(
    ("meta", "found"),
    [
        ((GREY, LABELS + 1), "meta: has the label 4, which data does not have"),
        ((GREY[:, 1:], LABELS), "meta: images of 1x4x6 (channels, H, W), those of data are 1x5x6"),
        (
            pd.DataFrame({"path": ["a"], "label": ["b"]}),
            "meta: is a table; hand it over as data is",
        ),
    ],
)
def test_a_meta_set_that_does_not_fit_is_refused(meta, found):
    with pytest.raises(UserError, match=re.escape(found)):
        handed_data((GREY, LABELS), meta=meta)


def test_a_data_set_of_torch_is_read_item_by_item():
    tensors = TensorDataset(torch.from_numpy(GREY)[:, None].float() / 255, torch.from_numpy(LABELS))

    class Pictures(torch.utils.data.Dataset):
        def __len__(self):
            return 40

        def __getitem__(self, place):
            return Image.fromarray(np.stack([GREY[place]] * 3, 2)), "dcba"[place % 4]

    np.testing.assert_array_equal(read(tensors).train.pixels[:, 0][:3], GREY[[0, 1, 2]])
    pictures = read(Pictures())
    assert pictures.train.pixels.shape[1:] == (3, 5, 6)
    assert pictures.train.class_names == ("a", "b", "c", "d")


def test_images_of_many_sizes_are_named_as_such():
    items = [(GREY[0], 0), (GREY[0, 1:], 1)]

    class Items(torch.utils.data.Dataset):
        def __len__(self):
            return 2

        def __getitem__(self, place):
            return items[place]

    with pytest.raises(UserError, match=r"images of 2 shapes, such as \(4, 6\) and \(5, 6\)"):
        handed_data(Items())


def test_what_is_kept_is_what_was_handed_over(tmp_path):
    data = handed_data((GREY, LABELS), meta=(GREY[:8], LABELS[:8]), test=(GREY[:4], LABELS[:4]))
    folder = tmp_path / data.fingerprint
    data.write(folder)
    assert own_layout(folder) == "arrays"
    config = DataConfig(name="own", root=str(folder), meta_per_class=2)
    kept = load_dataset(config, NoiseConfig(), seed=0)
    assert (len(kept.meta), len(kept.test), kept.class_names) == (8, 4, ("0", "1", "2", "3"))
    np.testing.assert_array_equal(kept.train.pixels[:, 0].numpy(), GREY[kept.train.ids.numpy()])
    assert handed_data((GREY, LABELS)).fingerprint != data.fingerprint
    other = np.where(np.arange(40) == 7, 0, LABELS)
    assert handed_data((GREY, other)).fingerprint != handed_data((GREY, LABELS)).fingerprint


def test_ids_are_places_in_the_whole_arrays_also_after_the_test_set_was_split_off(tmp_path):
    handed_data((GREY, LABELS)).write(tmp_path)
    config = DataConfig(name="own", root=str(tmp_path), test_fraction=0.3, meta_per_class=0)
    data = load_dataset(config, NoiseConfig(), seed=0)
    splits = (data.train, data.validation, data.test)
    for split in splits:
        np.testing.assert_array_equal(split.pixels[:, 0].numpy(), GREY[split.ids.numpy()])
    assert sorted(torch.cat([split.ids for split in splits]).tolist()) == [*range(40)]


@pytest.mark.parametrize("file", ["classes.json", "train-labels.npy", "train-images.npy"])
def test_kept_arrays_that_are_damaged_are_named(tmp_path, file):
    handed_data((GREY, LABELS)).write(tmp_path)
    content = (tmp_path / file).read_bytes()
    (tmp_path / file).write_bytes(content[: len(content) // 2])
    with pytest.raises(UserError, match=re.escape(file)):
        load_dataset(DataConfig(name="own", root=str(tmp_path)), NoiseConfig(), seed=0)


def test_pickled_objects_in_kept_arrays_are_not_loaded(tmp_path):
    handed_data((GREY, LABELS)).write(tmp_path)
    np.save(tmp_path / "train-labels.npy", np.array([{}] * 40, object), allow_pickle=True)
    with pytest.raises(UserError, match=r"train-labels.npy: cannot be read \(Object arrays"):
        load_dataset(DataConfig(name="own", root=str(tmp_path)), NoiseConfig(), seed=0)


def test_a_table_keeps_paths_that_start_where_it_was_handed_over(tmp_path, monkeypatch):
    for number in range(40):
        Image.fromarray(GREY[number]).save(tmp_path / f"{number}.png")
    table = pd.DataFrame({"path": [f"{n}.png" for n in range(40)], "label": [*"dcba"] * 10})
    monkeypatch.chdir(tmp_path)
    data = handed_data(table, meta=table[:4])
    data.write(tmp_path / "kept")
    monkeypatch.chdir("/")
    config = DataConfig(name="own", root=str(tmp_path / "kept"), image_size=4, meta_per_class=1)
    kept = load_dataset(config, NoiseConfig(), seed=0)
    assert kept.class_names == ("a", "b", "c", "d")
    assert len(kept.meta) == 4
    assert data.read(config).train.class_names == kept.class_names


@pytest.mark.parametrize(
    ("table", "found"),
    [
        (pd.DataFrame({"file": ["a"], "label": ["b"]}), "data: has no column path; its columns"),
        (pd.DataFrame({"path": ["a", "b"], "label": ["b", None]}), "data: row 2"),
    ],
)
def test_mistakes_in_a_table_are_told_without_the_temporary_file(table, found):
    with pytest.raises(UserError, match=re.escape(found)):
        read(table)


def test_a_source_is_kept_with_its_own_truth_and_one_of_files_is_named_by_its_reader(tmp_path):
    images = Images(GREY[:, None], LABELS, 4, (0.5,), (0.2,), true_labels=LABELS[::-1].copy())
    handed_data(Source(images, images)).write(tmp_path)
    config = DataConfig(name="own", root=str(tmp_path), meta_per_class=0)
    kept = load_dataset(config, NoiseConfig(), seed=0)
    assert kept.mean == (0.5,)
    np.testing.assert_array_equal(kept.train.true_labels, LABELS[::-1][kept.train.ids])
    files = Images(Paths(tmp_path, None), LABELS, 4, (0.5,), (0.2,))
    with pytest.raises(UserError, match=r"data.name=mine.birds:read"):
        handed_data(Source(files, images))


@pytest.mark.parametrize(
    ("value", "is_it"),
    [("digits", False), ({"name": "digits"}, False), (None, False), ((GREY, LABELS), True),
     (pd.DataFrame(), True), (TensorDataset(torch.zeros(1)), True), (len, False)],
)  # fmt: skip
def test_settings_are_told_from_data(value, is_it):
    assert is_data(value) is is_it
