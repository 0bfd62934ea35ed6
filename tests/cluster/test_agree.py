from __future__ import annotations

import json
import platform
import subprocess
import sys
from pathlib import Path

from famus_ray.cluster.agree import main


def test_a_worker_that_sees_the_heads_folder_and_has_its_versions_agrees(tmp_path: Path):
    folder = tmp_path / "runs"
    assert main(["--write", str(folder)]) == 0
    assert main([str(folder)]) == 0
    written = json.loads((folder / ".famus-cluster.json").read_text())
    assert written["Python"] == platform.python_version()
    assert set(written) >= {"ray", "torch", "famus_ray"}


def test_what_differs_is_named_and_the_exit_code_is_1(tmp_path: Path):
    (tmp_path / ".famus-cluster.json").write_text('{"Python": "3.11.0", "ray": "2.9.0"}')
    command = [sys.executable, "-m", "famus_ray.cluster.agree", str(tmp_path)]
    done = subprocess.run(command, capture_output=True, text=True)
    assert done.returncode == 1
    here = platform.python_version()
    who = f"{platform.node()} does not agree with the head"
    assert f"{who}: Python: {here} here, 3.11.0 on the head; install" in done.stderr
    assert "famus_ray" in done.stderr


def test_a_folder_that_is_not_shared_is_told_before_anything_runs_there(tmp_path: Path, capsys):
    assert main([str(tmp_path)]) == 1
    assert "mount the same folder on all machines" in capsys.readouterr().err
