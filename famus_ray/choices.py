"""Literal types of choices that the settings and the engine share."""

from __future__ import annotations

from typing import Literal

__all__ = ["Engine", "Fidelity", "Grouping", "Parallel", "Scope"]

Engine = Literal["jvp", "double_backward", "finite_difference"]
Fidelity = Literal["paper", "released"]
Grouping = Literal["tensor", "layer", "block", "stage"]
Parallel = Literal["exact", "local"]
Scope = Literal["all", "tail"]
