"""Checks of cluster files, all of them offline: `check_file` finds every problem at once."""

from __future__ import annotations

from famus_ray.cluster.checks.whole import check_file, left_out

__all__ = ["check_file", "left_out"]
