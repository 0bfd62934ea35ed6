"""What a call from Python hands over: objects become import paths, data are kept with the run."""

from __future__ import annotations

import json
import shutil
from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from famus_ray.config.presets import own_data
from famus_ray.config.schema import Config
from famus_ray.data.images import Source
from famus_ray.data.known import KNOWN
from famus_ray.data.own.handed import HandedData, handed_data, is_data
from famus_ray.errors import UserError
from famus_ray.handed import is_object, path_of
from famus_ray.records.folders import load_config
from famus_ray.store import download

__all__ = ["OwnParts", "moved_data", "own_parts"]

_DATA = "data"  # the folder in a run's or study's folder
_SPLITS = ("meta", "validation", "test")


@dataclass(frozen=True)
class OwnParts:
    """The sections of a call with settings only, and what else was handed over.

    Attributes:
        values: settings by section; objects are named by their import paths.
        data: the data that were handed over; None if they were named.
        is_own: whether the data are the user's own: handed over, or a folder or table.
    """

    values: dict[str, Any]
    data: HandedData | None = None
    is_own: bool = False

    @contextmanager
    def kept_in(self, path: Path, config: Config) -> Iterator[Config]:
        """The config with the data in the folder `path` of a run or study.

        If nothing has begun there at the end, they are removed again.
        """
        if self.data is None:
            yield config
            return
        folder = path.absolute() / _DATA / self.data.fingerprint
        data = config.data.model_copy(update={"root": str(folder)})
        try:
            if not folder.is_dir():
                self.data.write(folder)
            yield config.model_copy(update={"data": data})
        finally:
            if not (path / "config.yaml").exists():
                shutil.rmtree(path / _DATA, ignore_errors=True)


def own_parts(sections: Mapping[str, Any]) -> OwnParts:
    """The parts of a call whose sections may hold data, networks, functions and methods.

    Raises:
        UserError: data that cannot be read, or in two ways.
    """
    values = {name: value for name, value in sections.items() if value is not None}
    more = {split: values.pop(split) for split in _SPLITS if is_data(values.get(split))}
    data = values.get("data")
    named = {name: _named(value) for name, value in values.items() if name != "data"}
    if is_data(data):
        handed = handed_data(data, **more)
        return OwnParts({**named, "data": {"name": "own", "root": "handed over"}}, handed, True)
    if more:
        raise UserError(f"{min(more)}: was handed over, and data was not; hand over both")
    is_path = isinstance(data, str | Path) and data not in KNOWN
    if is_path and (place := own_data(str(data))) is not None:
        return OwnParts({**named, "data": {"name": "own", "root": str(place)}}, is_own=True)
    return OwnParts(named if data is None else {**named, "data": _named(data)})


def moved_data(path: Path) -> tuple[str, ...]:
    """The override that finds data kept in the folder `path`, where that has been moved."""
    data = load_config(path).get("data")
    root = data.get("root") if isinstance(data, dict) else None
    if not isinstance(root, str) or Path(root).exists():
        return ()
    here = path.absolute() / _DATA / Path(root).name
    download(here, heavy=True)
    return (f"data.root={json.dumps(str(here))}",) if here.is_dir() else ()


def _named(value: Any) -> Any:
    """A section whose objects are named by import paths."""
    if isinstance(value, Mapping):
        return {key: _named(content) for key, content in value.items()}
    return path_of(value) if is_object(value) and not isinstance(value, Source) else value
