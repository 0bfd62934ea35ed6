"""CIFAR from made-up files in the published layout, and from files that are not right."""

import os
import pickle
import struct
from pathlib import Path

import numpy as np
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from famus_ray import UserError
from famus_ray.config.schema import DataConfig, NoiseConfig
from famus_ray.data.catalog import load_dataset
from famus_ray.data.cifar import read_cifar10, read_cifar100

BATCHES = [*(f"data_batch_{i}" for i in range(1, 6)), "test_batch"]


def images(count, seed=0):
    return np.random.default_rng(seed).integers(0, 256, (count, 3072), dtype=np.uint8)


def write_cifar10(folder, damage=None, **changes):
    """Ten images a file; `changes` go into the file `damage`."""
    folder.mkdir(parents=True, exist_ok=True)
    for i, name in enumerate(BATCHES):
        entries = {
            "batch_label": "made up",
            "labels": np.random.default_rng(i).permutation(10).tolist(),
            "data": images(10, i),
            "filenames": ["x.png"] * 10,
        }
        entries |= changes if name == damage else {}
        kept = {key: value for key, value in entries.items() if value is not None}
        (folder / name).write_bytes(pickle.dumps(kept, protocol=2))


def write_cifar100(folder, **changes):
    """Three images of each of 100 classes; five classes, far apart, make a superclass."""
    folder.mkdir(parents=True, exist_ok=True)
    fine = list(range(100)) * 3
    entries = {
        "filenames": ["x.png"] * 300,
        "fine_labels": fine,
        "coarse_labels": [label % 20 for label in fine],
        "data": images(300),
    }
    entries |= changes
    kept = {key: value for key, value in entries.items() if value is not None}
    for name in ("train", "test"):
        (folder / name).write_bytes(pickle.dumps(kept, protocol=2))


def python2_pickle(entries):
    """What Python 2 wrote: byte strings, and arrays under NumPy's old module names."""

    def string(raw):
        return b"T" + struct.pack("<i", len(raw)) + raw

    def number(value):
        return b"J" + struct.pack("<i", value)

    def item(value):
        if isinstance(value, str):
            return string(value.encode())
        if isinstance(value, list):
            return b"](" + b"".join(map(item, value)) + b"e"
        if isinstance(value, int):
            return number(value)
        dtype = b"cnumpy\ndtype\n" + string(b"u1") + b"K\x00K\x01\x87R(K\x03" + string(b"|")
        dtype += b"NNN" + number(-1) + number(-1) + b"K\x00tb"
        empty = b"cnumpy.core.multiarray\n_reconstruct\ncnumpy\nndarray\nK\x00\x85"
        shape = number(value.shape[0]) + number(value.shape[1]) + b"\x86"
        state = b"(K\x01" + shape + dtype + b"\x89" + string(value.tobytes()) + b"tb"
        return empty + string(b"b") + b"\x87R" + state

    pairs = b"".join(item(key) + item(value) for key, value in entries.items())
    return b"\x80\x02}(" + pairs + b"u."


@pytest.mark.parametrize("inside", ["", "cifar-10-batches-py"])
def test_cifar10_is_read_in_its_own_order(tmp_path, inside):
    write_cifar10(tmp_path / inside)
    train, test = read_cifar10(tmp_path)
    expected = np.concatenate([images(10, i) for i in range(5)]).reshape(50, 3, 32, 32)
    assert (train.pixels == expected).all()
    assert train.labels[10:20].tolist() == np.random.default_rng(1).permutation(10).tolist()
    assert (test.pixels.reshape(10, 3072) == images(10, 5)).all()
    assert train.classes == 10


def test_files_of_python_2_are_read(tmp_path):
    for i, name in enumerate(BATCHES):
        entries = {"batch_label": "made up", "labels": [3, i], "data": images(2, i)}
        (tmp_path / name).write_bytes(python2_pickle(entries))
    train, _ = read_cifar10(tmp_path)
    assert train.labels.tolist() == [3, 0, 3, 1, 3, 2, 3, 3, 3, 4]
    assert (train.pixels[2:4].reshape(2, 3072) == images(2, 1)).all()


@pytest.mark.parametrize("inside", ["", "cifar-100-python"])
def test_cifar100_has_fine_labels_and_superclasses(tmp_path, inside):
    write_cifar100(tmp_path / inside)
    train, _ = read_cifar100(tmp_path)
    assert train.classes == 100
    assert train.labels.tolist() == list(range(100)) * 3
    assert train.superclass_of.tolist() == [label % 20 for label in range(100)]


def test_each_cifar_is_normalised_by_its_own_pixels(tmp_path):
    write_cifar10(tmp_path)
    write_cifar100(tmp_path)
    for images, mean, std in (
        (read_cifar10(tmp_path), (0.4914, 0.4822, 0.4465), (0.2470, 0.2435, 0.2616)),
        (read_cifar100(tmp_path), (0.5071, 0.4865, 0.4409), (0.2673, 0.2564, 0.2762)),
    ):
        assert [(i.mean, i.std) for i in images] == [(mean, std)] * 2


def test_asymmetric_noise_on_cifar100_goes_to_the_next_of_the_superclass(tmp_path):
    write_cifar100(tmp_path)
    data = DataConfig(
        name="cifar100", root=str(tmp_path), validation_fraction=0.0, meta_per_class=1
    )
    train = load_dataset(data, NoiseConfig(kind="asymmetric", rate=1.0), 0).train
    assert len(train) == 200
    assert (train.labels == (train.true_labels + 20) % 100).all()


@pytest.fixture(scope="module")
def whole_file(tmp_path_factory):
    folder = tmp_path_factory.mktemp("whole")
    write_cifar10(folder)
    return folder, (folder / "data_batch_2").read_bytes()


@given(st.floats(0, 1, exclude_max=True))
@settings(deadline=None, max_examples=60, suppress_health_check=[HealthCheck.too_slow])
def test_a_truncated_file_is_named(whole_file, share):
    folder, content = whole_file
    (folder / "data_batch_2").write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"data_batch_2: .*damaged"):
        read_cifar10(folder)


class Command:
    """Unpickling it runs a shell command."""

    def __init__(self, command):
        self.command = command

    def __reduce__(self):
        return os.system, (self.command,)


def test_a_pickle_that_runs_a_command_is_refused_and_not_run(tmp_path):
    marker = tmp_path / "marker"
    write_cifar10(tmp_path, "data_batch_4", filenames=Command(f"touch {marker}"))
    with pytest.raises(UserError, match=r"data_batch_4: refused: it asks for \w+\.system"):
        read_cifar10(tmp_path)
    assert not marker.exists()


WRONG = {
    "pixel type": ({"data": images(10).astype(np.float32)}, "'data' is float32[10, 3072]"),
    "pixels cut off": ({"data": images(10)[:, :3000]}, "'data' is uint8[10, 3000]"),
    "four axes": ({"data": images(10).reshape(10, 3, 32, 32)}, "not uint8[N, 3072]"),
    "an image too few": ({"data": images(9)}, "9 images and 10 labels"),
    "no array": ({"data": "pixels"}, "not a CIFAR file"),
    "no pixels": ({"data": None}, "not a CIFAR file"),
    "no labels": ({"labels": None}, "not a CIFAR file"),
    "label too high": ({"labels": [0] * 9 + [10]}, "whole numbers from 0 to 9"),
    "label below 0": ({"labels": [0] * 9 + [-1]}, "whole numbers from 0 to 9"),
    "words": ({"labels": ["cat"] * 10}, "whole numbers from 0 to 9"),
    "one number": ({"labels": 5}, "labels"),
    "lists": ({"labels": [[1]] * 10}, "labels"),
    "ragged lists": ({"labels": [[1], [2, 3]] * 5}, "labels"),
}


@pytest.mark.parametrize(("changes", "found"), WRONG.values(), ids=WRONG)
def test_a_file_that_is_not_right_is_named_with_what_is_wrong(tmp_path, changes, found):
    write_cifar10(tmp_path, "data_batch_3", **changes)
    with pytest.raises(UserError) as caught:
        read_cifar10(tmp_path)
    assert str(caught.value).startswith(f"{tmp_path / 'data_batch_3'}: ")
    assert found in str(caught.value)


@pytest.mark.parametrize(
    "changes",
    [{"fine_labels": [100] * 300}, {"coarse_labels": None}, {"coarse_labels": [0, 1]}],
    ids=["fine out of range", "no coarse", "few coarse"],
)
def test_a_wrong_cifar100_file_is_named(tmp_path, changes):
    write_cifar100(tmp_path, **changes)
    with pytest.raises(UserError, match=rf"{tmp_path}/train: .*(fine|coarse)_labels"):
        read_cifar100(tmp_path)


@pytest.mark.parametrize("read", [read_cifar10, read_cifar100])
def test_a_missing_folder_is_named_with_what_it_must_hold(tmp_path, read):
    name = "cifar-10-batches-py" if read is read_cifar10 else "cifar-100-python"
    with pytest.raises(UserError, match=rf"data.root = /nowhere: no such folder.*{name}"):
        read(Path("/nowhere"))
    with pytest.raises(UserError, match=rf"data.root = {tmp_path}: holds no {name}"):
        read(tmp_path)


def test_a_missing_batch_is_named(tmp_path):
    write_cifar10(tmp_path)
    (tmp_path / "data_batch_5").unlink()
    with pytest.raises(UserError, match="data_batch_5: missing"):
        read_cifar10(tmp_path)
