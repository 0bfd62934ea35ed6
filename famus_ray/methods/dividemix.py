"""DivideMix (Li et al. 2020): MixMatch on a divided training set with equal example weights."""

from __future__ import annotations

from torch import nn

from famus_ray.meta.step import PlainStep
from famus_ray.methods.mixmatch import MixedMean
from famus_ray.methods.step_settings import StepSettings

__all__ = ["build"]


def build(model: nn.Module, settings: StepSettings) -> PlainStep:
    """The step on a mixed batch; `famus_ray.training.two_networks` divides, guesses and mixes."""
    del model, settings
    return PlainStep(MixedMean())
