"""The folder of a run or study: finding it, and reading its settings and manifest."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import yaml

from famus_ray.errors import UserError, first_line, near, suggestion
from famus_ray.store import download, is_url, working_copy

__all__ = ["find_folder", "is_study", "load_config", "load_manifest"]

_MOST_NAMED = 8
_OF_STUDIES = ("space.yaml", "ledger.jsonl", "trials.parquet")


def find_folder(name: str | Path, root: str | Path = "runs") -> Path:
    """The folder of a run or study, given by its path or its name under `root`.

    Of a URL in an object store it is the working copy, which is brought up to date, without
    checkpoints.

    Raises:
        UserError: neither exists; the message suggests the nearest name, or lists the names that
            exist.
    """
    given = working_copy(str(name)) if is_url(name) else Path(name).expanduser()
    download(given)
    under = Path(root).expanduser()
    for path in (given, under / given):
        if path.is_dir():
            return path
    is_path = len(given.parts) > 1 and not (under / given.parent).is_dir()
    around = given.parent if is_path else under / given.parent
    known = sorted(p.name for p in around.glob("*") if p.is_dir())
    hint = suggestion([str(given.parent / n) for n in near(given.name, known)])
    if known and not hint:
        more = ", ..." if len(known) > _MOST_NAMED else ""
        hint = f"; in {around} there are {', '.join(known[:_MOST_NAMED])}{more}"
    raise UserError(f"{name}: no such run or study{hint}")


def is_study(folder: str | Path) -> bool:
    """Whether the folder holds a study, not a run."""
    path = find_folder(folder)
    return any((path / name).is_file() for name in _OF_STUDIES)


def load_config(folder: str | Path) -> dict[str, Any]:
    """The settings of a run or study, by section and key.

    Raises:
        UserError: the folder holds neither, or its file is damaged.
    """
    path = find_folder(folder) / "config.yaml"
    if not path.is_file():
        raise UserError(f"{path.parent}: neither a run nor a study: it has no config.yaml")
    try:
        config = yaml.safe_load(path.read_text(encoding="utf-8"))
    except (yaml.YAMLError, UnicodeDecodeError) as error:
        raise UserError(f"{path}: damaged ({first_line(error)})") from error
    if not isinstance(config, dict):
        raise UserError(f"{path}: damaged (no settings in it)")
    return config


def load_manifest(folder: str | Path) -> dict[str, Any]:
    """The `manifest.json` of a run or study: versions, seeds, hardware, data.

    Raises:
        UserError: it is missing or damaged.
    """
    path = find_folder(folder) / "manifest.json"
    try:
        manifest: dict[str, Any] = json.loads(path.read_text(encoding="utf-8"))
    except FileNotFoundError as error:
        raise UserError(
            f"{path.parent}: has no manifest.json, which every run and study begins with; was the "
            "folder copied whole?"
        ) from error
    except ValueError as error:
        raise UserError(f"{path}: damaged ({first_line(error)})") from error
    return manifest
