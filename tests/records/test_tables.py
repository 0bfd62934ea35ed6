"""Tables keep their content and say what it means; other files are refused."""

import json
import threading
from dataclasses import replace

import pandas as pd
import pyarrow.parquet as pq
import pytest

from famus_ray import UserError
from famus_ray.records.tables import CURVES, LABELS, SAMPLES, TRIALS, read_table, write_table


def curves():
    return pd.DataFrame(
        {"epoch": [1, 2], "metric": ["test/top1", "train/loss"], "value": [0.5, 1e-300]}
    )


@pytest.fixture
def path(tmp_path):
    return tmp_path / "curves.parquet"


def test_what_is_written_is_read(path):
    write_table(path, CURVES, curves())
    found = read_table(path, CURVES)
    assert found["metric"].dtype == "category"
    found = found.astype({"metric": "str"})
    pd.testing.assert_frame_equal(found, curves(), check_dtype=False)
    assert found["epoch"].dtype == "int32"
    assert list(path.parent.iterdir()) == [path]


def test_columns_beyond_the_schema_are_kept(path):
    write_table(path, CURVES, curves().assign(extra=["a", "b"]))
    assert read_table(path, CURVES)["extra"].tolist() == ["a", "b"]


@pytest.mark.parametrize("table", [CURVES, LABELS, SAMPLES, TRIALS], ids=lambda t: t.name)
def test_a_file_explains_its_columns_to_any_parquet_reader(path, table):
    write_table(path, table, pd.DataFrame(columns=list(table.columns)))
    about = json.loads(pq.read_schema(path).metadata[b"famus_ray"])
    assert (about["table"], about["schema_version"]) == (table.name, table.version)
    assert set(about["columns"]) == set(pq.read_schema(path).names)
    assert all(column["meaning"] for column in about["columns"].values())


def test_another_table_is_refused(path):
    write_table(path, CURVES, curves())
    with pytest.raises(UserError, match=r"curves.parquet: not a famus_ray table of labels"):
        read_table(path, LABELS)


def test_a_parquet_file_of_another_program_is_refused(path):
    curves().to_parquet(path)
    with pytest.raises(UserError, match="not a famus_ray table of curves"):
        read_table(path, CURVES)


def test_a_newer_schema_is_refused(path):
    write_table(path, replace(CURVES, version=CURVES.version + 1), curves())
    with pytest.raises(UserError, match=r"schema version 2, .*knows 1; install a newer one"):
        read_table(path, CURVES)


@pytest.mark.parametrize("share", [0, 0.3, 0.9, 0.999])
def test_a_damaged_file_is_named(path, share):
    write_table(path, CURVES, curves())
    content = path.read_bytes()
    path.write_bytes(content[: int(share * len(content))])
    with pytest.raises(UserError, match=r"curves.parquet: not a readable Parquet file"):
        read_table(path, CURVES)


def test_a_missing_file_is_named(path):
    with pytest.raises(UserError, match=r"curves.parquet: no such file"):
        read_table(path, CURVES)


def test_a_table_that_cannot_be_written_leaves_the_old_one(path):
    write_table(path, CURVES, curves())
    with pytest.raises(ValueError, match="many"):
        write_table(path, CURVES, curves().assign(value=["many", "words"]))
    assert read_table(path, CURVES).values.tolist() == curves().values.tolist()
    assert list(path.parent.iterdir()) == [path]


def test_who_reads_while_a_table_is_written_sees_the_old_one_whole(path):
    write_table(path, CURVES, curves())
    with path.open("rb") as reader:
        write_table(path, CURVES, curves().assign(value=[0.0, 0.0]))
        assert pd.read_parquet(reader)["value"].tolist() == [0.5, 1e-300]


def test_a_table_that_is_being_replaced_is_read_whole(tmp_path):
    """A reader beside a running writer sees one of the written tables, never a mixture."""
    path = tmp_path / "curves.parquet"
    frames = [
        pd.DataFrame({"epoch": range(n), "metric": [f"m{n}"] * n, "value": [n / 7] * n})
        for n in (3, 400)
    ]
    write_table(path, CURVES, frames[0])
    stop = threading.Event()

    def keep_writing() -> None:
        while not stop.is_set():
            for frame in frames:
                write_table(path, CURVES, frame)

    writer = threading.Thread(target=keep_writing)
    writer.start()
    try:
        sizes = {len(read_table(path, CURVES)) for _ in range(300)}
    finally:
        stop.set()
        writer.join()
    assert sizes <= {3, 400}
