from __future__ import annotations

import shutil
import tempfile
import time
from collections.abc import Iterator

import pytest
import ray

from famus_ray.scale import cluster


@pytest.fixture(scope="session")
def ray_instance() -> Iterator[None]:
    """One Ray of two CPUs for all tests, in a temporary directory of its own."""
    with pytest.MonkeyPatch.context() as patch:
        for name, value in cluster.QUIET.items():
            patch.setenv(name, value)
        folder = tempfile.mkdtemp(prefix="fr", dir="/tmp")  # socket paths must stay short
        ray.init(
            address="local", num_cpus=2, _temp_dir=folder, dashboard_host="127.0.0.1",
            log_to_driver=False,
        )  # fmt: skip
        yield
        ray.shutdown()
        shutil.rmtree(folder, ignore_errors=True)


@pytest.fixture
def nothing_left(ray_instance: None) -> Iterator[None]:
    """After the test all CPUs are free and no placement group is left; Ray tells of it late."""
    yield
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline and ray.available_resources().get("CPU") != 2:
        time.sleep(0.2)
    assert ray.available_resources().get("CPU") == 2
    assert {g["state"] for g in ray.util.placement_group_table().values()} <= {"REMOVED"}
