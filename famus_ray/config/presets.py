"""The presets and search spaces that come with the package, by name."""

from __future__ import annotations

from pathlib import Path

from famus_ray.errors import UserError, did_you_mean

__all__ = [
    "own_data",
    "preset_names",
    "preset_path",
    "refuse_folder",
    "space_names",
    "spaces_folder",
]

_PRESETS = Path(__file__).parent.parent / "presets"


def preset_names() -> list[str]:
    """Names of the presets that come with the package, sorted."""
    return sorted(path.stem for path in _PRESETS.glob("*.yaml"))


def preset_path(name: str) -> Path:
    """The file of a preset, given by its name or by the path of a YAML file.

    Raises:
        UserError: neither a preset nor a file.
    """
    if name in preset_names():
        return _PRESETS / f"{name}.yaml"
    path = Path(name)
    if path.suffix in (".yaml", ".yml") and path.is_file():
        return path
    refuse_folder(path)
    what = "file not found" if path.suffix in (".yaml", ".yml") else "unknown preset"
    hint = did_you_mean(name, preset_names()) or f"; there are {', '.join(preset_names())}"
    if name in space_names():
        hint = f"; it is a search space: famus-ray tune {name}"
    raise UserError(f"{name}: {what}{hint}")


_TABLES = (".csv", ".csv.gz", ".tsv", ".tsv.gz", ".parquet")


def own_data(name: str) -> Path | None:
    """The folder or table of images that `name` is; None for a preset or a YAML file."""
    path = Path(name).expanduser()
    if name in preset_names() or (path / "config.yaml").is_file():
        return None
    is_table = path.name.lower().endswith(_TABLES)
    return path if path.is_dir() or (is_table and path.is_file()) else None


def refuse_folder(path: Path) -> None:
    """Raises UserError if `path` is a folder or a device."""
    if (path / "config.yaml").is_file():
        raise UserError(f"{path}: is the folder of a run or study: famus-ray resume {path}")
    if path.is_dir():
        raise UserError(f"{path}: is a folder; name a YAML file in it")
    if path.exists() and not path.is_file():
        raise UserError(f"{path}: is no regular file; copy its text into one")


def space_names() -> list[str]:
    """Names of the search spaces that come with the package, sorted."""
    return sorted(path.stem for path in spaces_folder().glob("*.yaml"))


def spaces_folder() -> Path:
    """The folder of the search spaces: beside the package in a checkout, inside if installed."""
    inside = Path(__file__).parent.parent / "search_spaces"
    return inside if inside.is_dir() else inside.parent.parent / "search_spaces"
