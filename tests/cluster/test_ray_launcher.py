"""What is typed to Ray's launcher for a file, without a cluster."""

from __future__ import annotations

from pathlib import Path

import pytest

from famus_ray.cluster.provider import Job
from famus_ray.cluster.ray_launcher import RayLauncher
from famus_ray.errors import UserError

FILES = Path(__file__).parents[2] / "cluster"


def copy(name: str, folder: Path) -> Path:
    text = (FILES / name).read_text(encoding="utf-8").replace("REPLACE-ME", "mine")
    path = folder / "mine.yaml"
    path.write_text(text, encoding="utf-8")
    return path


def submitted(path: Path, *arguments: str) -> str:
    return " ".join(RayLauncher().submit(path, Job("job-1", arguments))[0].argv)


def test_a_study_asks_for_more_machines_only_where_the_file_lets_the_cluster_grow(tmp_path):
    grows = copy("aws/gpu-spot.yaml", tmp_path)
    assert "scale.autoscaling=true" in submitted(grows, "tune", "famus")
    assert "scale.autoscaling=true" not in submitted(
        grows, "tune", "famus", "scale.autoscaling=false"
    )
    assert "scale.autoscaling" not in submitted(grows, "trials", "a")
    onprem = FILES / "onprem" / "cluster.yaml"
    assert "scale.autoscaling" not in submitted(onprem, "tune", "famus", "run.root=/shared")


def test_runs_in_a_bucket_are_read_not_copied(tmp_path):
    path = copy("aws/gpu-spot.yaml", tmp_path)
    with pytest.raises(UserError, match=r"famus-ray trials s3://mine.*/study"):
        RayLauncher().fetch(path, "study", tmp_path)
