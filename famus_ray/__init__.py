"""Noise-robust training by meta-learned example weights, tuned and scaled on Ray."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from famus_ray.api import extend, resume, train, tune
    from famus_ray.classifier import FamusClassifier
    from famus_ray.errors import Diverged, UserError
    from famus_ray.reading.folders import load_curves, load_samples, load_trials
    from famus_ray.reading.labels import load_labels
    from famus_ray.reading.optuna_study import load_study
    from famus_ray.reading.summary import summarise

__version__ = "0.1.0"
__all__ = [
    "Diverged",
    "FamusClassifier",
    "UserError",
    "extend",
    "load_curves",
    "load_labels",
    "load_samples",
    "load_study",
    "load_trials",
    "resume",
    "summarise",
    "train",
    "tune",
]

_HOME = {
    "Diverged": "famus_ray.errors",
    "FamusClassifier": "famus_ray.classifier",
    "UserError": "famus_ray.errors",
    "extend": "famus_ray.api",
    "load_curves": "famus_ray.reading.folders",
    "load_labels": "famus_ray.reading.labels",
    "load_samples": "famus_ray.reading.folders",
    "load_study": "famus_ray.reading.optuna_study",
    "load_trials": "famus_ray.reading.folders",
    "resume": "famus_ray.api",
    "summarise": "famus_ray.reading.summary",
    "train": "famus_ray.api",
    "tune": "famus_ray.api",
}


def __getattr__(name: str) -> Any:
    """Imports a name on first use, so that torch, Ray and pandas load only when needed."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    try:
        return getattr(import_module(_HOME[name]), name)
    except ModuleNotFoundError as error:
        from famus_ray.errors import not_installed

        raise (not_installed(error, f"famus_ray.{name}") or error) from error


def __dir__() -> list[str]:
    return [*__all__, "__version__"]
