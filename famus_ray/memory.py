"""The free memory of this process."""

from __future__ import annotations

import math
from pathlib import Path

import torch

__all__ = ["free_memory", "in_gib"]


def free_memory(device: torch.device | None = None) -> float:
    """The bytes that this process can still allocate.

    They are those of the machine or, if fewer, of its container; of the GPU if `device` is one.
    """
    import psutil

    if device is not None and device.type == "cuda":
        return float(torch.cuda.mem_get_info(device)[0])
    return min(float(psutil.virtual_memory().available), _left_to_container())


def in_gib(count: float) -> str:
    """A number of bytes as text in GiB."""
    return f"{count / 2**30:,.1f} GiB"


def _left_to_container() -> float:
    """The free bytes under the limit of this process's control group; infinite without a limit."""
    for limit, used in (
        ("memory.max", "memory.current"),
        ("memory/memory.limit_in_bytes", "memory/memory.usage_in_bytes"),
    ):
        try:
            root = Path("/sys/fs/cgroup")
            found = (root / limit).read_text().strip()
            cached = (root / limit).with_name("memory.stat").read_text()
            taken = int((root / used).read_text())
        except (OSError, ValueError):
            continue
        if found.isdigit():
            file = next((line for line in cached.splitlines() if line.startswith("file ")), "0")
            return float(int(found) - taken + int(file.split()[-1]))
    return math.inf
