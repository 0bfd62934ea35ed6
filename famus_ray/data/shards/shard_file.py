"""One shard: a Parquet file whose images can be read one by one, at places that its footer tells.

The column of images is neither compressed nor encoded, and each row group holds it in one page. So
the images lie one behind the other, each after its length in four bytes, and end where the
column's chunk ends. Any reader of Parquet opens the file.
"""

# Shapes: N images of the shard.
from __future__ import annotations

from collections.abc import Iterable, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import TYPE_CHECKING, Any

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq
from numpy.typing import NDArray

if TYPE_CHECKING:
    from pyarrow import NativeFile

__all__ = ["ShardRow", "ShardRows", "read_shard", "write_shard"]

_PREFIX = 4  # bytes of the length before each image
_GROUP_BYTES = 32 * 2**20  # of images in a row group
_GROUP_ROWS = 1024
_ONE_PAGE = 2**30  # bytes; more than a row group ever has
_MOST_HEADER = 1024  # bytes of a page's header

_SCHEMA = pa.schema(
    [
        pa.field("id", pa.int64(), nullable=False),
        pa.field("image", pa.binary(), nullable=False),
        pa.field("size", pa.int32(), nullable=False),
        pa.field("label", pa.int32(), nullable=False),
        pa.field("true_label", pa.int32(), nullable=False),
        pa.field("checked", pa.bool_(), nullable=False),
        pa.field("path", pa.large_string(), nullable=False),
    ]
)
_OTHERS = [name for name in _SCHEMA.names if name != "image"]


@dataclass(frozen=True)
class ShardRow:
    """One image with what is known of it.

    Attributes:
        id: its place in the data set's own order of the split.
        image: encoded.
        label: its class.
        true_label: -1 where unknown.
        checked: whether a person has checked the label.
        path: its name in the data set.
    """

    id: int
    image: bytes
    label: int
    true_label: int
    checked: bool
    path: str


@dataclass(frozen=True)
class ShardRows:
    """The columns of a shard but its images, and where these are.

    Attributes:
        columns: by name, each (N,); `path` as an Arrow array of strings.
        start: int64 (N,), of each image's first byte in the file.
    """

    columns: Mapping[str, Any]
    start: NDArray[np.int64]


def write_shard(path: Path, rows: Iterable[ShardRow]) -> None:
    """Writes a shard, a row group at a time.

    Raises:
        RuntimeError: this version of pyarrow laid the images out in another way.
    """
    with pq.ParquetWriter(
        path,
        _SCHEMA,
        compression={name: "none" if name == "image" else "zstd" for name in _SCHEMA.names},
        use_dictionary=["path"],
        write_statistics=["id"],
        data_page_size=_ONE_PAGE,
        data_page_version="1.0",
    ) as writer:
        for group in _groups(rows):
            columns = {
                "size": [len(row.image) for row in group],
                **{name: [getattr(row, name) for row in group] for name in _SCHEMA.names
                   if name != "size"},
            }  # fmt: skip
            writer.write_table(pa.table(columns, schema=_SCHEMA))
    with pa.OSFile(str(path)) as file:
        read_shard(file)


def read_shard(file: NativeFile) -> ShardRows:
    """What a shard says of its images, without reading them.

    Raises:
        ValueError: the file is no shard, or damaged.
        RuntimeError: its images are not where they should be.
    """
    try:
        source = pq.ParquetFile(file)
        table = source.read(columns=_OTHERS)
    except (pa.ArrowException, OSError) as error:
        raise ValueError(str(error)) from error
    if table.schema.names != _OTHERS:
        raise ValueError(f"has the columns {', '.join(table.schema.names)}")
    columns: dict[str, Any] = {name: table[name].to_numpy() for name in _OTHERS if name != "path"}
    columns["path"] = table["path"].combine_chunks()
    return ShardRows(columns, _starts(source, columns["size"], file))


def _groups(rows: Iterable[ShardRow]) -> Iterator[list[ShardRow]]:
    group: list[ShardRow] = []
    held = 0
    for row in rows:
        group.append(row)
        held += len(row.image)
        if held >= _GROUP_BYTES or len(group) == _GROUP_ROWS:
            yield group
            group, held = [], 0
    if group:
        yield group


def _starts(
    source: pq.ParquetFile, size: NDArray[np.int32], file: NativeFile
) -> NDArray[np.int64]:  # fmt: skip
    """Where each image begins; the first and last length of every row group are looked up."""
    starts, done = np.empty(len(size), np.int64), 0
    for number in range(source.metadata.num_row_groups):
        group = source.metadata.row_group(number)
        chunk = group.column(_SCHEMA.names.index("image"))
        here = slice(done, done + group.num_rows)
        steps = size[here].astype(np.int64) + _PREFIX
        end = chunk.data_page_offset + chunk.total_compressed_size
        starts[here] = end - steps[::-1].cumsum()[::-1] + _PREFIX
        done += group.num_rows
        header = starts[here][0] - _PREFIX - chunk.data_page_offset
        lengths = [
            int.from_bytes(file.read_at(_PREFIX, int(starts[at]) - _PREFIX), "little")
            for at in (here.start, here.stop - 1)
        ]
        if not 0 < header < _MOST_HEADER or lengths != [size[here.start], size[here.stop - 1]]:
            raise RuntimeError("the images are not in one plain page a row group")
    return starts
