"""L2RW (Ren et al. 2018): the weights of every batch from one meta gradient at zero weights."""

# Shapes: B examples of this process, C classes.
from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from typing import Any

import torch
from torch import Tensor, nn

from famus_ray.batch import Batch
from famus_ray.choices import Engine, Parallel
from famus_ray.distributed import alone, global_sum, world_size
from famus_ray.meta.gradient import meta_gradient
from famus_ray.meta.heads import ExampleWeights
from famus_ray.meta.step import descend
from famus_ray.methods.step_settings import StepSettings
from famus_ray.models.layer_groups import LayerGroups, layer_groups

__all__ = ["build", "positive_weights"]


def build(model: nn.Module, settings: StepSettings) -> L2RWStep:
    """The step of L2RW; it has no state between iterations."""
    meta = settings.meta
    groups = layer_groups(model, "stage", "all")
    loss = settings.example_loss
    return L2RWStep(groups, meta.engine, meta.lookahead_lr, meta.parallel, loss)


class GivenWeights(nn.Module):
    """sum_i w_i * loss_i with weights (B,) that are set before each call."""

    def __init__(self, example_loss: nn.Module | None) -> None:
        super().__init__()
        self.example_loss = example_loss or nn.CrossEntropyLoss(reduction="none")
        self.weights_B: Tensor | None = None

    def forward(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        assert self.weights_B is not None, "weights are set first"
        return torch.dot(self.weights_B, self.example_loss(logits_BC, targets))


class L2RWStep:
    """One meta gradient at eps = 0, weights max(-gradient, 0) normalised, one weighted step.

    At eps = 0 the train gradient is zero: the virtual weights are the network's own.
    """

    needs_meta_batch = True

    def __init__(
        self,
        groups: LayerGroups,
        engine: Engine,
        lookahead_lr: float | None,
        parallel: Parallel = "exact",
        example_loss: nn.Module | None = None,
    ) -> None:
        self.weighting = GivenWeights(example_loss)
        self.head: nn.Module = self.weighting
        self.groups = groups
        self.engine: Engine = engine
        self.lookahead_lr = lookahead_lr
        self.parallel: Parallel = parallel

    def __call__(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, train: Batch, meta: Batch | None
    ) -> dict[str, Tensor]:
        assert meta is not None, "the loop gives a meta batch to every step that needs one"
        _, targets = train
        like = next(model.parameters()).new_empty(len(targets))
        head = ExampleWeights(like, self.weighting.example_loss)
        rate = optimiser.param_groups[0]["lr"] if self.lookahead_lr is None else self.lookahead_lr
        with alone() if self.parallel == "local" else nullcontext():
            found = meta_gradient(
                model, head, train, meta, lookahead_lr=rate, groups=self.groups, engine=self.engine
            )
        meta_loss = found.meta_loss / (world_size() if self.parallel == "local" else 1)
        weights_B = positive_weights(found.head_grads["eps_B"])
        self.weighting.weights_B = weights_B
        loss = descend(model, optimiser, self.head(found.logits_BC, targets))
        used = (weights_B > 0).to(loss.dtype).mean()
        return {"train/loss": loss, "meta/loss": meta_loss, "weights/positive": used}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        del state


def positive_weights(grads_B: Tensor) -> Tensor:
    """max(-grad, 0) (B,), normalised to sum 1 over all processes; all zero if no gradient is
    negative."""
    raw_B = (-grads_B).clamp_min(0)
    total = global_sum(raw_B.sum())
    return raw_B / torch.where(total > 0, total, torch.ones_like(total))
