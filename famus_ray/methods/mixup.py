"""mixup (Zhang et al. 2018): convex combinations of pairs of examples and of their labels."""

# Shapes: B examples of this process, C classes.
from __future__ import annotations

import numpy as np
import torch
from torch import Tensor, nn

from famus_ray.batch import Batch
from famus_ray.meta.heads import MeanCrossEntropy
from famus_ray.meta.step import PlainStep, descend
from famus_ray.methods.step_settings import StepSettings

__all__ = ["MixupStep", "build"]


def build(model: nn.Module, settings: StepSettings) -> MixupStep:
    """The step of mixup. Partners come from the worker's own share of the batch."""
    del model
    return MixupStep(settings.method.mixup_alpha, settings.noise)


class MixupStep(PlainStep):
    """lam * loss(label) + (1 - lam) * loss(partner's label) on lam * x + (1 - lam) * partner.

    Args:
        alpha: lam is drawn from Beta(alpha, alpha), once per batch.
        generator: reseeded every epoch, with the same seed on every process.
    """

    def __init__(self, alpha: float, generator: torch.Generator) -> None:
        super().__init__(MeanCrossEntropy())
        self.alpha = alpha
        self.generator = generator

    def __call__(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, train: Batch, meta: Batch | None
    ) -> dict[str, Tensor]:
        inputs, targets = train
        device = self.generator.device
        seed = int(torch.randint(2**31, (), generator=self.generator, device=device))
        rng = np.random.default_rng(seed)
        lam = float(rng.beta(self.alpha, self.alpha))
        partner = torch.as_tensor(rng.permutation(len(inputs)), device=inputs.device)
        logits_BC = model(lam * inputs + (1 - lam) * inputs[partner])
        loss = lam * self.head(logits_BC, targets)
        loss = loss + (1 - lam) * self.head(logits_BC, targets[partner])
        return {"train/loss": descend(model, optimiser, loss)}
