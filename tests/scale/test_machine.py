"""Whether a machine is fit, and what is said where it is not."""

import json
import shutil
from collections import namedtuple

import pytest

from famus_ray.cli import main
from famus_ray.scale.machine import check_machine

Usage = namedtuple("Usage", "total used free")


def test_this_machine_is_fit_without_starting_ray(tmp_path):
    findings = list(check_machine(tmp_path / "runs", ray=False))
    assert {finding.level for finding in findings} <= {"ok", "note"}
    told = "\n".join(finding.what for finding in findings)
    assert all(word in told for word in ("Python 3.", "torch 2.", "ray 2.", "CPU core", "memory:"))
    assert f"free under {tmp_path}" in told  # the folder itself is not there, and not made
    assert not (tmp_path / "runs").exists()


def test_a_full_disk_is_unfit(tmp_path, monkeypatch, capsys):
    monkeypatch.setattr(shutil, "disk_usage", lambda path: Usage(100, 99, 1))
    (unfit,) = [f for f in check_machine(tmp_path, ray=False) if f.level == "unfit"]
    assert unfit.what.startswith("disk: 0.0 GiB free")
    assert "run.root" in unfit.mend
    monkeypatch.setattr("sys.argv", ["famus-ray", "check", "--no-ray", "--root", str(tmp_path)])
    with pytest.raises(SystemExit) as ended:
        main()
    assert ended.value.code == 1
    assert "unfit   disk: 0.0 GiB free" in capsys.readouterr().out


@pytest.mark.ray
def test_ray_is_seen(ray_instance, tmp_path):
    *_, last = check_machine(tmp_path)
    assert (last.level, last.what) == ("ok", "Ray starts, with 2 CPUs, 0 GPUs")


def test_the_command_prints_json(capsys, monkeypatch, tmp_path):
    monkeypatch.setattr("sys.argv", ["famus-ray", "check", "--no-ray", "--json"])
    with pytest.raises(SystemExit) as ended:
        main()
    report = json.loads(capsys.readouterr().out)
    assert (ended.value.code, report["fit"]) == (0, True)
    assert {"level", "what", "mend"} == set(report["findings"][0])
