"""MentorMix (Jiang et al. 2020): mixup whose partners and shares follow a curriculum of losses."""

# Shapes: B examples of this process, C classes.
from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import numpy as np
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from famus_ray.batch import Batch
from famus_ray.config.schema import MethodConfig
from famus_ray.distributed import global_values, world_size
from famus_ray.meta.heads import MeanCrossEntropy
from famus_ray.meta.step import descend
from famus_ray.methods.step_settings import StepSettings
from famus_ray.models.modes import eval_mode

__all__ = ["MentorMixStep", "Percentile", "build", "curriculum", "own_share", "partner_odds"]


def build(model: nn.Module, settings: StepSettings) -> MentorMixStep:
    """The step of MentorMix. Partners come from the worker's own share of the batch."""
    del model
    return MentorMixStep(settings.method, settings.noise)


class Percentile:
    """A moving average of a percentile of the batches' losses: the curriculum's gamma."""

    def __init__(self, share: float, decay: float) -> None:
        self.share = share
        self.decay = decay
        self.value: Tensor | None = None

    def update(self, losses_B: Tensor) -> Tensor:
        """The moving average (a scalar) after the global batch; it starts at the first batch."""
        new = torch.quantile(global_values(losses_B).float(), self.share)
        self.value = new if self.value is None else torch.lerp(new, self.value, self.decay)
        return self.value


def curriculum(losses_B: Tensor, threshold: Tensor) -> Tensor:
    """v (B,): 1 where the loss is at most the threshold, else 0.

    This is the closed form of MentorNet for a predefined curriculum.
    """
    return (losses_B <= threshold).to(losses_B.dtype)


def partner_odds(v_B: Tensor, temperature: float) -> Tensor:
    """Probabilities (B,) of being drawn as a partner: softmax(v / T)."""
    return torch.softmax(v_B / temperature, dim=0)


def own_share(v_B: Tensor, drawn_B: Tensor) -> Tensor:
    """lambda (B,), the share of the example itself: v max(l, 1 - l) + (1 - v) min(l, 1 - l).

    A trusted example (v = 1) gets the larger share of its mixture, any other the smaller one.

    Args:
        v_B: from `curriculum`.
        drawn_B: l, drawn from Beta(alpha, alpha).
    """
    larger_B = torch.maximum(drawn_B, 1 - drawn_B)
    return v_B * larger_B + (1 - v_B) * (1 - larger_B)


class MentorMixStep:
    """One step (Algorithm 1 of the paper): judge, draw partners, mix, weigh the mixtures.

    Args:
        method: settings of MentorMix.
        generator: reseeded every epoch, with the same seed on every process.
    """

    needs_meta_batch = False

    def __init__(self, method: MethodConfig, generator: torch.Generator) -> None:
        self.head: nn.Module = MeanCrossEntropy()
        self.method = method
        self.generator = generator
        self.percentile = Percentile(method.percentile, method.percentile_decay)
        self.taken = 0

    def __call__(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, train: Batch, meta: Batch | None
    ) -> dict[str, Tensor]:
        inputs, targets = train
        v_B = self._judge(model, inputs, targets)
        partner_B, share_B = self._draw(v_B)
        share_shaped = share_B.view(-1, *[1] * (inputs.dim() - 1))
        logits_BC = model(share_shaped * inputs + (1 - share_shaped) * inputs[partner_B])
        own_B = F.cross_entropy(logits_BC, targets, reduction="none")
        partners_B = F.cross_entropy(logits_BC, targets[partner_B], reduction="none")
        losses_B = share_B * own_B + (1 - share_B) * partners_B
        if self.method.second_weighting and self.taken > self.method.burn_in:
            assert self.percentile.value is not None
            losses_B = curriculum(losses_B.detach(), self.percentile.value) * losses_B
        loss = descend(model, optimiser, losses_B.mean() / world_size())
        return {"train/loss": loss, "curriculum/trusted": v_B.mean()}

    @torch.no_grad()
    def _judge(self, model: nn.Module, inputs: Tensor, targets: Tensor) -> Tensor:
        """v (B,) of the unmixed examples; evaluation mode keeps the running statistics."""
        with eval_mode(model):
            losses_B = F.cross_entropy(model(inputs), targets, reduction="none")
        threshold = self.percentile.update(losses_B)
        self.taken += 1
        if self.taken <= self.method.burn_in:
            return torch.ones_like(losses_B)
        return curriculum(losses_B, threshold)

    def _draw(self, v_B: Tensor) -> tuple[Tensor, Tensor]:
        """Indices (B,) of partners, drawn with replacement, and shares (B,) of the examples."""
        device = self.generator.device
        odds_B = partner_odds(v_B, self.method.partner_temperature).to(device)
        partner_B = torch.multinomial(
            odds_B, len(v_B), replacement=True, generator=self.generator
        ).to(v_B.device)
        seed = int(torch.randint(2**31, (), generator=self.generator, device=device))
        alpha = self.method.mixup_alpha
        drawn = np.random.default_rng(seed).beta(alpha, alpha, len(v_B))
        drawn_B = torch.as_tensor(drawn, dtype=v_B.dtype, device=v_B.device)
        return partner_B, own_share(v_B, drawn_B)

    def state_dict(self) -> dict[str, Any]:
        return {"percentile": self.percentile.value, "taken": self.taken}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.percentile.value, self.taken = state["percentile"], state["taken"]
