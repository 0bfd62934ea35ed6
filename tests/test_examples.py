"""The examples run, print what the pages say, and are the code that the pages show."""

from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

import pytest

ROOT = Path(__file__).parent.parent


def printed_by(example: str) -> str:
    program = [sys.executable, ROOT / "examples" / example]
    return subprocess.run(program, capture_output=True, text=True, check=True).stdout


@pytest.mark.parametrize(
    ("example", "page"), [("own_loop.py", "README.md"), ("own_head.py", "docs/engine.md")]
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
