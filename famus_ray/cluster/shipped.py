"""The cluster files that come with the package."""

from __future__ import annotations

from pathlib import Path

__all__ = ["shipped"]

_INSTALLED = Path(__file__).parent / "files"  # in a wheel
_IN_THE_CLONE = Path(__file__).parents[2] / "cluster"
_ENDINGS = (".yaml", ".sbatch")


def shipped() -> dict[Path, str]:
    """Each cluster file with the first line of its comment, sorted; of Kubernetes the folders."""
    root = _INSTALLED if _INSTALLED.is_dir() else _IN_THE_CLONE
    found = sorted(path for path in root.rglob("*") if path.suffix in _ENDINGS)
    folders = {path.parent for path in found if path.name == "kustomization.yaml"}
    files = [path for path in found if path.parent not in folders and ".cfn" not in path.name]
    about = {path: _first_comment(path) for path in files}
    about |= {folder: _first_comment(folder / "kustomization.yaml") for folder in folders}
    return dict(sorted(about.items()))


def _first_comment(path: Path) -> str:
    lines = path.read_text(encoding="utf-8").splitlines()
    comments = (line for line in lines if line.startswith("# "))
    return next(comments, "# ").removeprefix("# ")
