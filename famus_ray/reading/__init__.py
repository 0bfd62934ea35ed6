"""Reading runs and studies with pandas and plotly; needs neither torch nor Ray."""

from __future__ import annotations

from importlib import import_module
from typing import TYPE_CHECKING, Any

if TYPE_CHECKING:
    from famus_ray.reading.comparison import compare
    from famus_ray.reading.folders import load_curves, load_samples, load_trials
    from famus_ray.reading.labels import load_labels
    from famus_ray.reading.loaded import load
    from famus_ray.reading.optuna_study import load_study
    from famus_ray.reading.summary import summarise

_HOME = {
    "compare": "comparison",
    "load": "loaded",
    "load_curves": "folders",
    "load_labels": "labels",
    "load_samples": "folders",
    "load_study": "optuna_study",
    "load_trials": "folders",
    "summarise": "summary",
}
__all__ = [
    "compare",
    "load",
    "load_curves",
    "load_labels",
    "load_samples",
    "load_study",
    "load_trials",
    "summarise",
]


def __getattr__(name: str) -> Any:
    """Imports a name on first use."""
    if name not in _HOME:
        raise AttributeError(f"module {__name__!r} has no attribute {name!r}")
    return getattr(import_module(f"famus_ray.reading.{_HOME[name]}"), name)
