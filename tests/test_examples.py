from __future__ import annotations

import re
import subprocess
import sys
from pathlib import Path

ROOT = Path(__file__).parent.parent


def test_the_example_runs_and_is_the_one_in_the_readme():
    source = (ROOT / "examples" / "own_loop.py").read_text()
    finished = subprocess.run(
        [sys.executable, ROOT / "examples" / "own_loop.py"],
        capture_output=True,
        text=True,
        check=True,
    )
    assert re.fullmatch(r"meta loss \d+\.\d+\n", finished.stdout)
    body = source.split('"""', 2)[2].strip()
    assert body in (ROOT / "README.md").read_text()
