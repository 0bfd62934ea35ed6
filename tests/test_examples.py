"""The examples run, print what the pages say, and are the code that the pages show."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def printed_by(example: str, folder: Path | None = None) -> str:
    program = [sys.executable, ROOT / "examples" / example]
    done = subprocess.run(program, capture_output=True, text=True, check=False, cwd=folder)
    assert done.returncode == 0, done.stderr
    return done.stdout


@pytest.mark.parametrize(
    ("example", "page"),
    [
        ("own_loop.py", "README.md"),
        ("own_head.py", "docs/engine.md"),
        ("own_arrays.py", "docs/own.md"),
        ("own_module.py", "docs/own.md"),
    ],
)
def test_the_page_shows_the_example(example, page):
    body = (ROOT / "examples" / example).read_text().split('"""', 2)[2].strip()
    assert body in (ROOT / page).read_text()


def test_a_loop_of_ones_own():
    assert re.fullmatch(r"meta loss \d+\.\d+\n", printed_by("own_loop.py"))


def test_a_head_of_ones_own_finds_the_class_that_wrong_labels_go_to():
    trust = [float(number) for number in re.findall(r"\d\.\d\d", printed_by("own_head.py"))]
    assert len(trust) == 4
    assert trust[0] < 0.5 < min(trust[1:])


@pytest.mark.parametrize(
    ("example", "lowest"),
    [
        ("own_arrays.py", 0.4),
        ("own_module.py", 0.2),
        ("own_method.py", 0.5),
        ("own_data.py", 0.9),
        ("own_grouping.py", 0.3),
    ],
)
def test_an_own_part_trains_and_its_result_is_three_lines(example, lowest, tmp_path):
    printed = printed_by(example, tmp_path)
    lines = printed.splitlines()
    assert lines[0].startswith("RunResult(runs/")
    accuracy = re.match(r"  test accuracy (\d\.\d{4}) at epoch \d of \d, chosen on", lines[1])
    assert accuracy is not None
    assert float(accuracy[1]) > lowest
    assert re.fullmatch(r"  \d\.\d{4} in the mean of the last \d epochs", lines[2])
    if example == "own_arrays.py":
        assert 250 < int(re.search(r"(\d+) labels are probably wrong", printed)[1]) < 700
    else:
        assert len(lines) == 3


def test_the_snippets_of_the_engine_page_run():
    text = (ROOT / "docs" / "engine.md").read_text(encoding="utf-8")
    blocks = re.findall(r"```python\n(.*?)```", text, re.DOTALL)
    with_groups = [block for block in blocks if "groups" in block]
    assert len(with_groups) == 2
    setup = """
import torch
from torch import nn
from famus_ray.meta import LearnedWeights
network = nn.Sequential(nn.Conv2d(3, 8, 3), nn.ReLU(), nn.Flatten(), nn.Linear(288, 10))
head = LearnedWeights()
train, clean = ((torch.randn(16, 3, 8, 8), torch.randint(10, (16,))) for _ in range(2))
"""
    code = "\n".join([setup, *with_groups, "assert gates.networks[0][0].weight.grad is not None"])
    subprocess.run([sys.executable, "-c", code], check=True, timeout=120)
