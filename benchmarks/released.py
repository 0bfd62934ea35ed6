"""One iteration as the published codes of FaMUS and Meta-Weight-Net compute it.

What users of those codes run today, to measure against: a copy of the network for the virtual
step, `create_graph=True`, a backward through both, and a forward of its own for the actual
step. Loss, weight net, gates and optimisers are those of famus_ray (`fidelity: released`), so that
both compute the same numbers, which tests/benchmarks/test_released.py looks at. Left out is what
belongs to the noisy-label pipeline around the step: MixMatch, the prior-matching term.
"""

from __future__ import annotations

import copy
from collections.abc import Mapping
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn
from torch.func import functional_call

from famus_ray.bench.variants import Variant
from famus_ray.config.resolve import resolve
from famus_ray.config.schema import Config
from famus_ray.meta.gates import sparsity_loss
from famus_ray.meta.last_layer import last_layer_loss
from famus_ray.meta.step import MetaStep, TrainStep, descend
from famus_ray.methods import build_step
from famus_ray.phases import phase

__all__ = ["FAMUS_SETTINGS", "RELEASED", "ReleasedStep"]

Batch = tuple[Tensor, Tensor]

# The released script's own: one gate a tensor of the last stage, K = 4, both regularisers.
FAMUS_SETTINGS = (
    "method.name=famus", "meta.fidelity=released", "meta.grouping=tensor", "meta.k=4",
    "meta.lambda1=0.1", "meta.lambda2=0.1",
)  # fmt: skip


class ReleasedStep:
    """Virtual-Train on a copy, Meta-Train by double backward, Actual-Train with a new forward.

    Args:
        parts: the step of famus_ray whose head, gates and optimisers are used.
        gated: FaMUS; otherwise MW-Net, which takes the meta gradient from every layer.
    """

    needs_meta_batch = True

    def __init__(self, parts: MetaStep, gated: bool) -> None:
        self.parts = parts
        self.head = parts.head
        self.gated = gated

    def __call__(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, train: Batch, meta: Batch | None
    ) -> dict[str, Tensor]:
        assert meta is not None
        inputs, targets = train
        virtual = copy.deepcopy(model)
        weights = dict(virtual.named_parameters())
        with phase("virtual/forward"):
            logits_BC = virtual(inputs)
        with phase("virtual/backward"):
            loss = self.head(logits_BC, targets)
            found = torch.autograd.grad(loss, list(weights.values()), create_graph=True)
        grads = dict(zip(weights, found, strict=True))
        moved, gates_G = self._moved(weights, grads, optimiser.param_groups[0]["lr"])
        with phase("meta/forward"):
            logits_BC = functional_call(virtual, moved, (meta[0],))
            objective = meta_loss = F.cross_entropy(logits_BC, meta[1])
        with phase("meta/backward"):
            if self.gated:
                objective = meta_loss + self._regularisers(meta_loss, moved, grads, gates_G)
            self._update_meta(objective)
        with phase("actual/forward"):
            loss = self.head(model(inputs), targets)
        return {"train/loss": descend(model, optimiser, loss), "meta/loss": meta_loss.detach()}

    def _moved(
        self, weights: Mapping[str, Tensor], grads: Mapping[str, Tensor], lr: float
    ) -> tuple[dict[str, Tensor], Tensor]:
        """The virtual weights, which theta is reached through where a gate is open, and the gates.

        A closed gate leaves `(1 - r) * grad.detach()`.
        """
        if not self.gated:
            return {n: w - lr * grads[n] for n, w in weights.items()}, torch.ones(0)
        groups = self.parts.groups.gated
        gates_G = self.parts.gates(groups, grads)
        moved = {n: (w - lr * grads[n]).detach() for n, w in weights.items()}
        for group, r in zip(groups, gates_G, strict=True):
            for name in group.parameters:
                gated = r * grads[name] if r > 0.5 else (1 - r) * grads[name].detach()
                moved[name] = weights[name] - lr * gated
        return moved, gates_G

    def _regularisers(
        self,
        meta_loss: Tensor,
        moved: Mapping[str, Tensor],
        grads: Mapping[str, Tensor],
        gates_G: Tensor,
    ) -> Tensor:
        """lambda1 L_r of the last learned gate, and lambda2 L_g of mean and spread."""
        parts = self.parts
        names = parts.groups.last_layer
        found = torch.autograd.grad(meta_loss, [moved[n] for n in names], create_graph=True)
        meta_grads = dict(zip(names, found, strict=True))
        mismatch = last_layer_loss({n: grads[n] for n in names}, meta_grads, match_spread=True)
        last = gates_G[parts.gates.last_learned :][:1]
        sparsity = sparsity_loss(last, parts.expected_open)
        return parts.last_layer_weight * mismatch + parts.sparsity_weight * sparsity

    def _update_meta(self, objective: Tensor) -> None:
        optimisers = [self.parts.head_optimiser, self.parts.gates_optimiser]
        used = [optimiser for optimiser in optimisers if optimiser is not None]
        for optimiser in used:
            optimiser.zero_grad()
        objective.backward()  # into the copy's weights as well, as theirs does
        for optimiser in used:
            optimiser.step()

    def state_dict(self) -> dict[str, Any]:
        return self.parts.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.parts.load_state_dict(state)


def released_famus(
    config: Config, model: nn.Module, classes: int, noise: torch.Generator
) -> TrainStep:
    own = resolve(None, FAMUS_SETTINGS).config
    return ReleasedStep(build_step(own, model, classes, noise), gated=True)


def released_mwnet(
    config: Config, model: nn.Module, classes: int, noise: torch.Generator
) -> TrainStep:
    own = resolve(None, ["method.name=mwnet"]).config
    return ReleasedStep(build_step(own, model, classes, noise), gated=False)


RELEASED = (
    Variant("mwnet as released", released_mwnet),
    Variant("famus as released", released_famus),
)
