"""The settings that a method's step is built from."""

from __future__ import annotations

from dataclasses import dataclass

import torch
from torch import nn

from famus_ray.config.schema import MetaConfig, MethodConfig
from famus_ray.methods.losses import ClassLoss
from famus_ray.methods.mixmatch import MixedLoss

__all__ = ["StepSettings"]


@dataclass(frozen=True)
class StepSettings:
    """Settings for the builder of a method's step.

    Attributes:
        method, meta: sections of the config.
        classes: number of classes of the data.
        noise: a generator on the network's device, reseeded every epoch with the same seed on
            every process.
        class_loss: the example loss of section `loss`; None for plain cross-entropy.
        mixed: whether train batches hold labelled and unlabelled rows (`mixmatch`).
    """

    method: MethodConfig
    meta: MetaConfig
    classes: int
    noise: torch.Generator
    class_loss: ClassLoss | None = None
    mixed: bool = False

    @property
    def example_loss(self) -> nn.Module | None:
        """The loss of one row of a train batch; None for plain cross-entropy."""
        return MixedLoss() if self.mixed else self.class_loss
