"""Images on disk: the same batches as from memory, crops as published, drawn for all workers."""

import numpy as np
import pytest
import torch

from famus_ray.config import resolve
from famus_ray.config.schema import DataConfig, NoiseConfig
from famus_ray.data.batches import EpochBatches, eval_batches
from famus_ray.data.catalog import load_dataset
from famus_ray.data.image_files import FileViews, ahead, draw_file_views, resized_crop_box
from famus_ray.data.made_up import make


@pytest.fixture(scope="module")
def root(tmp_path_factory):
    folder = tmp_path_factory.mktemp("data") / "folders"
    make("folders", folder, images=40, size=24)
    return folder


def config(root, *overrides):
    settings = (
        "data=folders", f"data.root={root}", "data.image_size=16", "data.resize=18",
        "data.meta_per_class=2", "data.crop_padding=0", "run.batch_size=8", *overrides,
    )  # fmt: skip
    return resolve("digits", [*settings, "noise=none"]).config


def load(config):
    return load_dataset(config.data, NoiseConfig(), 0)


def test_evaluation_sees_the_same_from_disk_as_from_memory(root):
    memory, disk = load(config(root)), load(config(root, "data.storage=disk"))
    pairs = zip(eval_batches(memory, memory.test), eval_batches(disk, disk.test), strict=True)
    for (a, labels), (b, others) in pairs:
        assert torch.equal(a, b)
        assert torch.equal(labels, others)
    assert torch.equal(memory.meta.labels, disk.meta.labels)


@pytest.mark.parametrize("kind", ["shift", "crop_flip", "resized_crop"])
def test_an_epoch_from_disk_is_drawn_again_and_workers_take_their_rows(root, kind, monkeypatch):
    settings = config(root, "data.storage=disk", f"data.augment={kind}")
    data = load(settings)
    whole = list(EpochBatches(data, settings).epoch(1, with_meta=True))
    again = list(EpochBatches(data, settings).epoch(1, with_meta=True))
    assert len(whole) == len(data.train) // 8
    for (train, meta), (other, other_meta) in zip(whole, again, strict=True):
        assert train[0].shape == (8, 3, 16, 16)
        assert torch.equal(train[0], other[0])
        assert torch.equal(meta[0], other_meta[0])
    monkeypatch.setattr("famus_ray.data.batches.world_size", lambda: 2)
    monkeypatch.setattr("famus_ray.data.batches.rank", lambda: 1)
    second = EpochBatches(data, settings).epoch(1, with_meta=False)
    for (train, _), (mine, _) in zip(whole, second, strict=True):
        assert torch.equal(train[0][4:], mine[0])
        assert torch.equal(train[1][4:], mine[1])


def test_half_of_the_views_are_mirrored_and_crops_go_everywhere(root):
    settings = config(root, "data.storage=disk", "data.resize=null", "data.augment=crop_flip")
    files = load(settings).train.pixels
    numbers = torch.rand(64, 23, generator=torch.Generator().manual_seed(0))
    seen = files.load(torch.zeros(64, dtype=torch.int64), FileViews(numbers))
    numbers[:, 2] = 0.9  # the coin alone decides on the mirror
    plain = files.load(torch.zeros(64, dtype=torch.int64), FileViews(numbers))
    mirrored = torch.tensor([torch.equal(a, b.flip(2)) for a, b in zip(seen, plain, strict=True)])
    same = torch.tensor([torch.equal(a, b) for a, b in zip(seen, plain, strict=True)])
    assert (mirrored | same).all()
    assert 20 < mirrored.sum() < 44
    # 24 x 30 pixels: 9 x 15 places for 16 x 16
    assert len({image.numpy().tobytes() for image in plain}) > 40


def test_resized_crops_have_the_published_areas_and_ratios():
    numbers = draw_file_views(4000, torch.Generator().manual_seed(0)).numbers.numpy()
    boxes = np.array([resized_crop_box(300, 400, row) for row in numbers])
    top, left, height, width = boxes.T
    assert (top >= 0).all()
    assert (left >= 0).all()
    assert (top + height <= 300).all()
    assert (left + width <= 400).all()
    area, ratio = height * width / 120_000, width / height
    assert area.min() == pytest.approx(0.08, abs=0.01)
    assert area.max() > 0.9
    assert 0.74 < ratio.min() < 0.77
    assert 1.3 < ratio.max() < 1.35


def test_an_image_that_no_crop_fits_is_seen_in_the_middle():
    # torchvision's fallback: the ratio nearest to the image's own
    row = np.full(23, 0.999, dtype=np.float32)
    assert resized_crop_box(100, 10, row) == (43, 0, 13, 10)


def test_batches_are_read_ahead_in_order_and_no_further():
    begun = []

    def call(i):
        begun.append(i)
        return i

    results = ahead((lambda i=i: call(i) for i in range(10)), depth=2)
    assert [next(results), next(results)] == [0, 1]
    assert max(begun) <= 4
    assert list(results) == list(range(2, 10))


def test_an_error_of_a_read_reaches_the_reader():
    def fails():
        raise ValueError("damaged")

    with pytest.raises(ValueError, match="damaged"):
        list(ahead(iter([fails]), depth=2))


def test_resized_crops_of_images_in_memory_are_refused(root):
    with pytest.raises(ValueError, match=r"set data.storage = disk"):
        config(root, "data.augment=resized_crop")
    assert DataConfig(augment="resized_crop", storage="disk").augment == "resized_crop"
