"""What a method's step is built from, besides the network."""

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
    """Settings and facts that the builder of a method's step may ask for.

    Attributes:
        method, meta: sections of the config.
        classes: of the data.
        noise: seeded anew each epoch, alike on every process; on the network's device.
        class_loss: the loss of one example of section `loss`; None where it is cross-entropy.
        mixed: train batches are MixMatch's, of labelled and unlabelled rows (`mixmatch`).
    """

    method: MethodConfig
    meta: MetaConfig
    classes: int
    noise: torch.Generator
    class_loss: ClassLoss | None = None
    mixed: bool = False

    @property
    def example_loss(self) -> nn.Module | None:
        """The loss of one row of a train batch; None where it is plain cross-entropy."""
        return MixedLoss() if self.mixed else self.class_loss
