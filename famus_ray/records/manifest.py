"""`manifest.json`: versions, commit, seeds, hardware and data of a run."""

from __future__ import annotations

import os
import platform
import subprocess
import sys
from datetime import UTC, datetime
from importlib.metadata import version
from pathlib import Path
from typing import Any

import torch

from famus_ray.config.schema import Config
from famus_ray.data.catalog import Dataset
from famus_ray.data.record import record
from famus_ray.handed import lives_here

__all__ = ["manifest", "only_here"]


def manifest(config: Config, data: Dataset) -> dict[str, Any]:
    """The manifest of a run of `config` on `data` that starts now, as JSON values."""
    packages = (
        "famus-ray",
        "torch",
        "torchvision",
        "timm",
        "ray",
        "optuna",
        "scikit-learn",
        "numpy",
    )
    cuda = torch.cuda.is_available()
    return {
        "schema_version": 1,
        "started": datetime.now(UTC).isoformat(timespec="seconds"),
        "command": sys.argv,
        "versions": {"python": platform.python_version(), **{p: version(p) for p in packages}},
        "git_commit": _git_commit(),
        "seeds": {
            "run": config.run.seed,
            "noise": config.run.seed if config.noise.seed is None else config.noise.seed,
        },
        "hardware": {
            "machine": platform.machine(),
            "cpus": os.cpu_count(),
            "gpus": [torch.cuda.get_device_name(i) for i in range(torch.cuda.device_count())]
            if cuda
            else [],
        },
        "workers": config.scale.workers,
        "data": record(data),
        "only_in_its_process": only_here(config),
    }


def only_here(config: Config) -> list[str]:
    """The settings, as `key = value`, whose objects exist in this process only: the run cannot
    be resumed elsewhere."""
    return [
        f"{section}.{key} = {value}"
        for section, values in config.model_dump().items()
        for key, value in values.items()
        if lives_here(value)
    ]


def _git_commit() -> str | None:
    """The commit of the running source; None if it is not in a git checkout of its own."""
    try:
        # An environment may lie inside another project's checkout, which does not track it.
        subprocess.run(  # noqa: S603
            ["git", "ls-files", "--error-unmatch", Path(__file__).name],  # noqa: S607
            cwd=Path(__file__).parent,
            capture_output=True,
            timeout=5,
            check=True,
        )
        found = subprocess.run(
            ["git", "rev-parse", "HEAD"],  # noqa: S607
            cwd=Path(__file__).parent,
            capture_output=True,
            text=True,
            timeout=5,
            check=True,
        )
    except (OSError, subprocess.SubprocessError):
        return None
    return found.stdout.strip()
