"""Which files of the working directory go along with a command."""

from __future__ import annotations

from pathlib import Path

import pytest

from famus_ray.cluster.own_files import own_files
from famus_ray.errors import UserError


def needed(folder: Path, line: str) -> list[str]:
    return own_files(line.split(), folder)


@pytest.fixture
def project(tmp_path: Path) -> Path:
    files = {
        "mine.py": "import torch\nfrom layers import block\n",
        "layers.py": "import numpy\n",
        "nets/__init__.py": "",
        "nets/small.py": "from . import shared\nfrom .deep.blocks import Block\nimport nets.more\n",
        "nets/shared.py": "",
        "nets/more.py": "import mine  # imports in a circle: layers, too\n",
        "nets/deep/__init__.py": "",
        "nets/deep/blocks.py": "",
        "nets/unused.py": "",
        "space.yaml": "preset: own/base.yaml\nspace:\n  method.name: [famus, 'losses:robust']\n",
        "own/base.yaml": "model: {name: mine:net}\n",
        "losses.py": "",
        "famus_ray/handed.py": "",
        "data/labels.csv": "",
        ".git/config": "",
        "runs/a/config.yaml": "",
    }
    for name, text in files.items():
        (tmp_path / name).parent.mkdir(parents=True, exist_ok=True)
        (tmp_path / name).write_text(text)
    return tmp_path


def test_a_module_goes_along_with_what_it_imports_from_here(project: Path):
    assert needed(project, "train digits model.name=mine:Net") == ["layers.py", "mine.py"]
    assert needed(project, "train digits model.name=nets.small:Net") == [
        *("layers.py", "mine.py", "nets/__init__.py", "nets/deep/__init__.py"),
        *("nets/deep/blocks.py", "nets/more.py", "nets/shared.py", "nets/small.py"),
    ]


def test_a_yaml_file_goes_along_with_what_it_names(project: Path):
    assert needed(project, "tune space.yaml --name a") == [
        *("layers.py", "losses.py", "mine.py", "own/base.yaml", "space.yaml")
    ]


@pytest.mark.parametrize(
    "line",
    [
        "tune famus --name a meta.lr=1e-3",
        "train data run.root=s3://bucket/runs scale.address=head:6379",
        "train digits model.name=famus_ray.handed:x",
        "train digits model.name=timm:create",
        "trials a --to labels.csv",
        "tune /mnt/shared/space.yaml",
        "tune there.yaml",
    ],
)
def test_nothing_else_goes_along(project: Path, line: str):
    assert needed(project, line) == []


def test_too_much_is_refused_and_the_largest_file_named(project: Path):
    (project / "layers.py").write_text("#" * 11 * 2**20)
    with pytest.raises(UserError, match=r"2 files with 11\.0 MB .* largest is layers\.py \(11\.0"):
        needed(project, "train digits model.name=mine:Net")


def test_files_from_elsewhere_and_damaged_ones_are_refused(project: Path):
    (project / "mine.py").write_text("def net(:\n")
    with pytest.raises(UserError, match=r"mine\.py:1: no Python"):
        needed(project, "train digits model.name=mine:Net")
    with pytest.raises(UserError, match=r"\.\./space\.yaml: lies outside"):
        own_files(["tune", "../space.yaml"], project / "own")
