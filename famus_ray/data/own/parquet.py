"""Tables in Parquet: of paths, or of encoded images as Hugging Face's data sets hold them."""

# Shapes: N rows.
from __future__ import annotations

from collections.abc import Iterator, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import unquote

import numpy as np
import pyarrow as pa
import pyarrow.parquet as pq

from famus_ray.data.own.arrow_text import Where, as_text, is_binary, reading_parquet
from famus_ray.data.own.columns import Columns, choose_columns, names_column
from famus_ray.data.own.encoded import with_images
from famus_ray.data.own.hugging_face import class_names, holds_images, only_column
from famus_ray.data.own.rows import Part, Rows
from famus_ray.data.own.table_files import TableFiles
from famus_ray.errors import UserError
from famus_ray.memory import free_memory, in_gib

__all__ = ["read_parquet"]

_NULL = "__HIVE_DEFAULT_PARTITION__"


@dataclass(frozen=True)
class _File:
    """What is known of one file from its footer.

    Attributes:
        path: of the file.
        schema: its columns.
        header: names of the columns, then the keys of its folders.
        columns: the chosen ones.
        keys: values of its folders' names by key, None where missing.
        encoded: whether it holds the images themselves; False if its paths name files.
    """

    path: Path
    schema: pa.Schema
    header: tuple[str, ...]
    columns: Columns
    keys: dict[str, str | None]
    encoded: bool


def read_parquet(table: TableFiles) -> Rows:
    """The rows of a table in one or several Parquet files.

    A column of structs `{bytes, path}` or of bytes holds the images themselves, named by their
    path or else by their row; class names are those of the schema, if Hugging Face wrote it.

    Raises:
        UserError: a damaged file, columns that are missing or not clear, a value that is no path
            or label, or images that do not fit into memory.
    """
    files = [_described(path, table.partitioned) for path in table.files]
    free, held_so_far = free_memory(), 0
    parts, cells, contents = [], [], []
    for file in files:
        count = 0
        for text, images in _batches(file):
            cells.append(text)
            contents.append(images)
            count += len(text)
            # Counted while reading: Arrow ends the process where a damaged footer is asked.
            held_so_far += images.nbytes
            if 2 * held_so_far > free:
                raise UserError(
                    f"{table.origin}: its images do not fit into memory, where they are held twice "
                    f"while they are read ({in_gib(free)} are free); write them as files and list "
                    "their paths"
                )
        parts.append(Part(file.path, np.arange(1, count + 1)))
    if not any(len(part.numbers) for part in parts):
        raise UserError(f"{table.origin}: has no rows; it must list one image a row")
    with reading_parquet(table.origin):
        frame = pa.concat_tables(cells, promote_options="default").to_pandas()
        held = pa.concat_arrays(contents)
    first = files[0]
    rows = Rows(
        origin=str(table.origin),
        folder=table.folder,
        cells=frame,
        parts=tuple(parts),
        class_names=class_names(first.schema, first.header[first.columns.label])
        if first.columns.label < len(first.schema.names)
        else None,
        notes=tuple(dict.fromkeys(note for file in files for note in file.columns.notes)),
    )
    return with_images(rows, held)


def _described(path: Path, partitioned: Path | None) -> _File:
    with reading_parquet(path), pq.ParquetFile(path) as file:
        schema = file.schema_arrow
        keys = _keys(path, partitioned, schema.names)
        header = (*schema.names, *keys)
        columns = choose_columns(header, path, _known(schema, header))
        in_file = columns.path < len(schema.names)
        encoded = in_file and _is_encoded(file, schema, columns.path)
        return _File(path, schema, header, columns, keys, encoded)


def _keys(path: Path, partitioned: Path | None, taken: Sequence[str]) -> dict[str, str | None]:
    """The values in the names of a partitioned table's folders, such as `label=cat`."""
    if partitioned is None:
        return {}
    pairs = (part.split("=", 1) for part in path.relative_to(partitioned).parts[:-1] if "=" in part)
    keys = {
        unquote(key): None if value == _NULL else unquote(value)
        for key, value in pairs
        if key not in taken
    }
    if "split" in keys:
        raise UserError(
            f"{partitioned}: is partitioned by split; give each split a folder of its own, such as "
            f"{partitioned / 'train' / 'label=cat'}"
        )
    return keys


def _known(schema: pa.Schema, header: Sequence[str]) -> dict[str, int]:
    """The columns known by their types or by Hugging Face's description."""
    known = {}
    images = [place for place, field in enumerate(schema) if holds_images(field.type)]
    if len(images) == 1:
        known["path"] = images[0]
    for kind, described in (("path", "Image"), ("label", "ClassLabel")):
        name = only_column(schema, described)
        if kind not in known and name is not None and not names_column(kind, header):
            known[kind] = schema.names.index(name)
    return known


def _is_encoded(file: Any, schema: pa.Schema, place: int) -> bool:
    """Whether a column holds encoded images: structs, or bytes that are no text of one line."""
    kind = schema.field(place).type
    if not is_binary(kind):
        return holds_images(kind)
    for batch in file.iter_batches(64, columns=[schema.names[place]]):
        value = next((value for value in batch.column(0).to_pylist() if value), None)
        if value is not None:
            try:
                return not value.decode().isprintable()
            except UnicodeDecodeError:
                return b"\0" in value  # as in every image, and in no path
    return False


def _batches(file: _File) -> Iterator[tuple[pa.Table, pa.Array]]:
    """Tables of path, label[, clean_label] as text, and the encoded images, null without one."""
    places = {"path": file.columns.path, "label": file.columns.label}
    if file.columns.clean is not None:
        places["clean_label"] = file.columns.clean
    chosen = {column: file.header[place] for column, place in places.items()}
    names = [name for name in chosen.values() if name not in file.keys]
    start = 1
    with reading_parquet(file.path), pq.ParquetFile(file.path) as source:
        for batch in source.iter_batches(1024, columns=names):

            def where(place: int, start: int = start) -> str:
                return f"{file.path}: row {start + place}"

            images = pa.nulls(len(batch), pa.large_binary())
            text = {}
            for column, name in chosen.items():
                if name in file.keys:
                    text[column] = pa.repeat(
                        pa.scalar(file.keys[name], pa.large_string()), len(batch)
                    )
                elif column == "path" and file.encoded:
                    images, text[column] = _images(batch.column(name), where)
                else:
                    text[column] = _cells(file, name, batch.column(name), column, where)
            yield pa.table(text), images
            start += len(batch)


def _cells(file: _File, name: str, values: pa.Array, column: str, where: Where) -> pa.Array:
    """A column as text; the numbers of classes that the schema names as their names."""
    classes = None if column == "path" else class_names(file.schema, name)
    if classes is None or not pa.types.is_integer(values.type):
        return as_text(values, column, where)
    named: list[str | None] = []
    for place, number in enumerate(values.to_pylist()):
        if number is not None and not 0 <= number < len(classes):
            if column == "label" or number != -1:
                raise UserError(
                    f"{where(place)}: {column} {number} is none of the {len(classes):,} classes "
                    "that the schema names; take such rows out"
                )
            number = None
        named.append(None if number is None else classes[number])
    return pa.array(named, pa.large_string())


def _images(values: pa.Array, where: Where) -> tuple[pa.Array, pa.Array]:
    """The encoded images and their paths, each null where there is none."""
    if is_binary(values.type):
        return values.cast(pa.large_binary()), pa.nulls(len(values), pa.large_string())
    fields = dict(zip((field.name for field in values.type), values.flatten(), strict=True))
    paths = fields.get("path", pa.nulls(len(values), pa.large_string()))
    return fields["bytes"].cast(pa.large_binary()), as_text(paths, "path", where)
