"""One shard: every image is found where the footer says, and any reader of Parquet opens it."""

import pandas as pd
import pyarrow as pa
import pytest
from hypothesis import given, settings
from hypothesis import strategies as st

from famus_ray.data.shards import shard_file
from famus_ray.data.shards.shard_file import ShardRow, read_shard, write_shard

SIZES = st.lists(st.integers(0, 5000), max_size=60)


def rows(sizes):
    for place, size in enumerate(sizes):
        image = bytes((place + i) % 256 for i in range(size))
        yield ShardRow(7 + place, image, place % 3, place % 3 - 1, place % 2 == 0, f"ü/{place}.png")


@settings(deadline=None, max_examples=50)
@given(sizes=SIZES, group=st.integers(1, 20))
def test_every_image_is_where_the_footer_says(tmp_path_factory, sizes, group):
    path = tmp_path_factory.mktemp("shard") / "a.parquet"
    with pytest.MonkeyPatch.context() as patch:
        patch.setattr(shard_file, "_GROUP_ROWS", group)
        write_shard(path, rows(sizes))
    content = path.read_bytes()
    with pa.OSFile(str(path)) as file:
        found = read_shard(file)
    starts = found.start.tolist()
    images = [content[start : start + size] for start, size in zip(starts, sizes, strict=True)]
    assert images == [row.image for row in rows(sizes)]
    assert found.columns["path"].to_pylist() == [row.path for row in rows(sizes)]


def test_pandas_reads_it(tmp_path):
    write_shard(tmp_path / "a.parquet", rows([10, 0, 300]))
    frame = pd.read_parquet(tmp_path / "a.parquet")
    assert [row.image for row in rows([10, 0, 300])] == frame["image"].tolist()
    assert frame["id"].tolist() == [7, 8, 9]
    assert frame["true_label"].tolist() == [-1, 0, 1]


def test_another_parquet_file_is_no_shard(tmp_path):
    pd.DataFrame({"a": [1]}).to_parquet(tmp_path / "a.parquet")
    with pa.OSFile(str(tmp_path / "a.parquet")) as file, pytest.raises(ValueError, match="column"):
        read_shard(file)
