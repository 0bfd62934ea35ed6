"""Tables in Parquet: paths of every type, images inside, shards and partitions."""

from __future__ import annotations

import io
import json
from contextlib import suppress
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow as pa
import pyarrow.parquet as pq
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st
from PIL import Image

from famus_ray.data.own.tables import list_tables
from famus_ray.errors import UserError


def write(folder: Path, name: str = "train.parquet", metadata=None, **columns) -> Path:
    table = pa.table(columns)
    if metadata is not None:
        table = table.replace_schema_metadata({"huggingface": json.dumps(metadata)})
    (folder / name).parent.mkdir(parents=True, exist_ok=True)
    pq.write_table(table, folder / name)
    return folder


def read(folder: Path):
    data = list_tables(folder)
    train = data.splits["train"]
    told = "\n".join(finding.what for finding in data.findings)
    return train.files.names.to_pylist(), list(train.labels), told


def png(value: int) -> bytes:
    content = io.BytesIO()
    Image.fromarray(np.full((2, 2), value, np.uint8)).save(content, "png")
    return content.getvalue()


IMAGES = [png(0), png(100), png(200)]


def described(*names: str, image: str = "image", label: str = "label"):
    return {
        "info": {
            "features": {
                image: {"_type": "Image"},
                label: {"names": list(names), "_type": "ClassLabel"},
            }
        }
    }


PATHS = {
    "text": pa.array(["a", "b"]),
    "large text": pa.array(["a", "b"], pa.large_string()),
    "dictionary": pa.array(["a", "b"]).dictionary_encode(),
    "bytes": pa.array([b"a", b"b"]),
    "bytes of fixed size": pa.array([b"a", b"b"], pa.binary(1)),
    "dictionary of bytes": pa.array([b"a", b"b"]).dictionary_encode(),
}


@pytest.mark.parametrize("kind", PATHS)
def test_types_of_paths(kind: str, tmp_path: Path):
    assert read(write(tmp_path, path=PATHS[kind], label=["x", "y"])) == (["a", "b"], ["x", "y"], "")


LABELS = {
    "int8": (pa.array([3, 1], pa.int8()), ["3", "1"]),
    "uint64": (pa.array([2**63, 1], pa.uint64()), [str(2**63), "1"]),
    "whole float": (pa.array([3.0, 1.0]), ["3", "1"]),
    "half float": (pa.array(np.array([3, 1], np.float16)), ["3", "1"]),
    "fraction": (pa.array([0.5, 1.0]), ["0.5", "1"]),
    "boolean": (pa.array([True, False]), ["true", "false"]),
    "dictionary of numbers": (pa.array([7, 8]).dictionary_encode(), ["7", "8"]),
    "dictionary of floats": (pa.array([3.0, 1.0]).dictionary_encode(), ["3", "1"]),
    "large text": (pa.array(["x", "NA"], pa.large_string()), ["x", "NA"]),
    "bytes": (pa.array([b"x", b"y"]), ["x", "y"]),
    "date": (pa.array([0, 1], pa.date32()), ["1970-01-01", "1970-01-02"]),
}


@pytest.mark.parametrize("kind", LABELS)
def test_types_of_labels(kind: str, tmp_path: Path):
    values, labels = LABELS[kind]
    assert read(write(tmp_path, path=["a", "b"], label=values)) == (["a", "b"], labels, "")


def test_what_pandas_writes(tmp_path: Path):
    frame = pd.DataFrame({"path": ["a", "b"], "label": pd.Categorical(["x", "y"])}, index=[7, 9])
    frame["clean_label"] = ["x", None]
    frame.to_parquet(tmp_path / "train.parquet")
    assert read(tmp_path) == (["a", "b"], ["x", "y"], "")
    assert list(list_tables(tmp_path).splits["train"].clean) == ["x", None]


def test_numbers_with_gaps_of_pandas(tmp_path: Path):
    frame = pd.DataFrame({"path": [1, 2], "label": [4, 5], "clean_label": [4, None]})
    frame.to_parquet(tmp_path / "train.parquet")
    train = list_tables(tmp_path).splits["train"]
    assert train.files.names.to_pylist() == ["1", "2"]
    assert (list(train.labels), list(train.clean)) == (["4", "5"], ["4", None])


REFUSED = {
    "no rows": ({"path": pa.array([], "string"), "label": pa.array([], "string")}, "has no rows"),
    "null label": (
        {"path": ["a", "b", "c"], "label": ["x", None, None]},
        "row 2: no label (path 'b'), the first of 2 such rows",
    ),
    "NaN": ({"path": ["a"], "label": [float("nan")]}, "row 1: no label (path 'a')"),
    "null path": ({"path": [None, "b"], "label": ["x", "y"]}, "row 1: no path (label 'x')"),
    "nulls alone": ({"path": pa.nulls(2), "label": ["x", "y"]}, "row 1: no path"),
    "list": ({"path": ["a", "b"], "label": [None, ["x", "y"]]}, "row 2: label ['x', 'y'] holds"),
    "struct": ({"path": ["a"], "label": [{"x": 1}]}, "row 1: label {'x': 1} holds several"),
    "pipe": ({"path": ["a"], "label": ["x|y"]}, "row 1: label 'x|y' holds several"),
    "no column": ({"path": ["a"], "lable": ["x"]}, "no column label; columns found: 'path', "),
    "zero in a path": ({"path": ["a\0"], "label": ["x"]}, "row 1: path 'a\\x00' names no file"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_name_the_file_and_the_row(case: str, tmp_path: Path):
    columns, words = REFUSED[case]
    with pytest.raises(UserError) as refusal:
        list_tables(write(tmp_path, **columns))
    message = str(refusal.value)
    assert message.startswith(str(tmp_path / "train.parquet"))
    assert words in message
    assert "\n" not in message


def test_a_row_far_down(tmp_path: Path):
    write(tmp_path, path=["a"] * 3000, label=[*["x"] * 2500, "y|z", *["x"] * 499])
    with pytest.raises(UserError, match=r"row 2501: label 'y\|z'"):
        list_tables(tmp_path)
    write(tmp_path, path=["a"] * 3000, label=pa.array([b"x"] * 2500 + [b"\xe9"] * 500))
    with pytest.raises(UserError, match="row 2501: label b"):
        list_tables(tmp_path)


def test_a_path_that_is_not_utf8(tmp_path: Path):
    write(tmp_path, path=pa.array([b"a", b"\xe9"]), label=["x", "y"])
    with pytest.raises(UserError, match=r"train.parquet: row 2: path b'\\xe9' is not UTF-8"):
        list_tables(tmp_path)


@pytest.mark.parametrize("cut", [0, 3, 50, -1, -8])
def test_a_cut_file(cut: int, tmp_path: Path):
    path = write(tmp_path, path=["a"] * 100, label=["x"] * 100) / "train.parquet"
    path.write_bytes(path.read_bytes()[:cut])
    with pytest.raises(UserError, match=r"train.parquet: is damaged, cut or no Parquet file"):
        list_tables(tmp_path)


def test_images_inside_with_names_of_classes(tmp_path: Path):
    images = [
        {"bytes": content, "path": name}
        for content, name in zip(IMAGES, ["a", None, "c"], strict=True)
    ]
    write(tmp_path, metadata=described("t-shirt", "bag"), image=images, label=[1, 0, 1])
    data = list_tables(tmp_path)
    train = data.splits["train"]
    assert train.files.contents.type == pa.large_binary()
    assert [train.files.encoded(place) for place in range(3)] == IMAGES
    assert train.files.names.to_pylist() == ["a", "row 2", "c"]
    assert list(train.labels) == ["bag", "t-shirt", "bag"]
    assert data.class_names == ("t-shirt", "bag")


def test_images_inside_as_bytes(tmp_path: Path):
    write(tmp_path, image=pa.array(IMAGES), label=[7, 8, 7])
    data = list_tables(tmp_path)
    assert data.splits["train"].files.contents.to_pylist() == IMAGES
    assert data.splits["train"].files.names.to_pylist() == ["row 1", "row 2", "row 3"]
    assert list(data.splits["train"].labels) == ["7", "8", "7"]
    assert data.class_names is None


def test_columns_that_only_the_description_knows(tmp_path: Path):
    images = [{"bytes": content, "path": "0.png"} for content in IMAGES]
    metadata = described("x", "y", image="pixels", label="species")
    write(tmp_path, metadata=metadata, pixels=images, species=[0, 1, 1])
    names, labels, told = read(tmp_path)
    assert names == ["row 1", "row 2", "row 3"]
    assert labels == ["x", "y", "y"]
    assert "names its images by row: their paths repeat" in told


def test_classes_of_one_name_stay_apart(tmp_path: Path):
    write(tmp_path, metadata=described("crane", "cat", "crane"), path=list("ab"), label=[0, 2])
    data = list_tables(tmp_path)
    assert data.class_names == ("crane (0)", "cat", "crane (2)")
    assert list(data.splits["train"].labels) == ["crane (0)", "crane (2)"]


@pytest.mark.parametrize("number", [-1, 2])
def test_a_number_without_a_class(number: int, tmp_path: Path):
    write(tmp_path, metadata=described("x", "y"), path=["a", "b"], label=[0, number])
    with pytest.raises(UserError, match=rf"row 2: label {number} is none of the 2 classes"):
        list_tables(tmp_path)


def test_paths_of_files_instead_of_bytes(tmp_path: Path):
    image = pa.array([{"path": "a.png"}, {"path": "b.png"}])
    both = pa.StructArray.from_arrays([pa.nulls(2, pa.binary()), image.field(0)], ["bytes", "path"])
    write(tmp_path, image=both, label=["x", "y"])
    files = list_tables(tmp_path).splits["train"].files
    assert files.contents is None
    assert files.path(1) == tmp_path / "b.png"


def test_a_row_without_its_bytes(tmp_path: Path):
    images = [{"bytes": IMAGES[0], "path": "a"}, {"bytes": None, "path": "b"}, None]
    write(tmp_path, image=images, label=["x", "y", "z"])
    with pytest.raises(UserError, match=r"row 2: no bytes of an image, its path is 'b' \(2 of 3"):
        list_tables(tmp_path)


def test_images_that_memory_does_not_hold(tmp_path: Path, monkeypatch: pytest.MonkeyPatch):
    monkeypatch.setattr("famus_ray.data.own.parquet.free_memory", lambda: 2 * 3900.0)
    write(
        tmp_path, image=pa.array([bytes([value, 0]) * 100 for value in range(12)]), label=[0] * 12
    )
    assert len(list_tables(tmp_path).splits["train"]) == 12
    write(
        tmp_path, image=pa.array([bytes([value, 0]) * 100 for value in range(40)]), label=[0] * 40
    )
    with pytest.raises(UserError, match="write them as files and list their paths"):
        list_tables(tmp_path)


@pytest.mark.parametrize("folder", [".", "data"])
def test_shards(folder: str, tmp_path: Path):
    for part in range(2):
        name = f"{folder}/train-{part:05d}-of-00002.parquet"
        write(tmp_path, name, image=pa.array(IMAGES[part : part + 1]), label=["x"])
    write(tmp_path, f"{folder}/test-00000-of-00001.parquet", image=pa.array(IMAGES), label=[*"xyz"])
    write(tmp_path, f"{folder}/validation-00000-of-00001.parquet", image=IMAGES, label=[*"xyz"])
    data = list_tables(tmp_path)
    assert {split: len(listing) for split, listing in data.splits.items()} == {
        "train": 2, "test": 3, "validation": 3,
    }  # fmt: skip
    assert data.splits["train"].files.contents.to_pylist() == IMAGES[:2]
    assert data.splits["train"].files.names.to_pylist() == [
        "train-00000-of-00002.parquet row 1",
        "train-00001-of-00002.parquet row 1",
    ]


def test_a_missing_shard(tmp_path: Path):
    write(tmp_path, "train-00000-of-00003.parquet", path=["a"], label=["x"])
    write(tmp_path, "train-00002-of-00003.parquet", path=["a"], label=["x"])
    with pytest.raises(UserError, match=r"train-00001-of-00003.parquet: missing; 2 of the 3 files"):
        list_tables(tmp_path)


def test_a_row_of_a_later_shard(tmp_path: Path):
    write(tmp_path, "train-00000-of-00002.parquet", path=["a"] * 3, label=["x"] * 3)
    write(tmp_path, "train-00001-of-00002.parquet", path=["b", None], label=["x"] * 2)
    with pytest.raises(UserError, match=r"train-00001-of-00002.parquet: row 2: no path"):
        list_tables(tmp_path)


@pytest.mark.parametrize("root", [".", "train", "train.parquet"])
def test_partitions(root: str, tmp_path: Path):
    for label in ("cat", "007", "hot%20dog"):
        write(tmp_path, f"{root}/label={label}/part-0.parquet", path=[f"{label}.png"])
    write(tmp_path, f"{root}/_temporary/label=old/part-0.parquet", path=["old.png"])
    listing = list_tables(tmp_path).splits["train"]
    assert sorted(listing.labels) == ["007", "cat", "hot dog"]
    assert listing.files.path(0) == tmp_path / "007.png"


def test_a_partition_without_a_label(tmp_path: Path):
    write(tmp_path, "label=__HIVE_DEFAULT_PARTITION__/part-0.parquet", path=["a"])
    with pytest.raises(UserError, match=r"part-0.parquet: row 1: no label \(path 'a'\)"):
        list_tables(tmp_path)


def test_partitions_by_split(tmp_path: Path):
    write(tmp_path, "split=train/label=cat/part-0.parquet", path=["a"])
    with pytest.raises(UserError, match="is partitioned by split; give each split a folder"):
        list_tables(tmp_path)


def whole(tmp: Path) -> bytes:
    write(tmp, metadata=described("x", "y"), image=IMAGES, label=pa.array([0, 1, 1], pa.int8()))
    return (tmp / "train.parquet").read_bytes()


@settings(max_examples=100, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.binary(max_size=200))
def test_any_bytes_are_refused(tmp_path: Path, content: bytes):
    (tmp_path / "train.parquet").write_bytes(content)
    with pytest.raises(UserError):
        list_tables(tmp_path)


@settings(max_examples=300, deadline=None, suppress_health_check=list(HealthCheck))
@given(
    changes=st.lists(st.tuples(st.floats(0, 1, exclude_max=True), st.integers(0, 255)), min_size=1)
)
def test_changed_bytes_are_a_table_or_a_refusal(tmp_path: Path, changes):
    content = bytearray(whole(tmp_path))
    for place, value in changes:
        content[int(place * len(content))] = value
    (tmp_path / "train.parquet").write_bytes(content)
    with suppress(UserError):
        list_tables(tmp_path)


def test_a_damaged_footer_does_not_end_the_process(tmp_path: Path):
    """Arrow ends the process where some damaged footers are asked for the sizes of columns."""
    content = whole(tmp_path)
    start = len(content) - 8 - int.from_bytes(content[-8:-4], "little")
    rng = np.random.default_rng(1)
    for _ in range(1500):
        damaged = bytearray(content)
        for place in rng.integers(start, len(content) - 8, rng.integers(1, 4)):
            damaged[place] = rng.integers(256)
        (tmp_path / "train.parquet").write_bytes(damaged)
        with suppress(UserError):
            list_tables(tmp_path)
