from __future__ import annotations

import shutil
import tempfile
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
