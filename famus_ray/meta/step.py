"""One iteration of training: plain, or Virtual-Train, Meta-Train, Actual-Train (Section 3)."""

# Shapes: G gated layer groups.
from __future__ import annotations

from collections.abc import Mapping
from contextlib import nullcontext
from dataclasses import dataclass, replace
from typing import Any, Protocol

import torch
from torch import Tensor, nn

from famus_ray.batch import Batch
from famus_ray.choices import Engine, Parallel, Scope
from famus_ray.distributed import all_reduce_mean_, alone, backward_summed, world_size
from famus_ray.meta.cross_fit import CrossFit
from famus_ray.meta.gates import GateSampler, LearnedGates, sparsity_loss
from famus_ray.meta.gradient import MetaGradient, MetaLoss, meta_gradient
from famus_ray.meta.heads import Projected, mean_cross_entropy
from famus_ray.meta.variations import PAPER, Variations
from famus_ray.models.layer_groups import LayerGroups
from famus_ray.phases import phase

__all__ = ["MetaStep", "PlainStep", "TrainStep", "descend", "load_optimiser"]


class TrainStep(Protocol):
    """A method as the training loop sees it: one iteration, and its state for a checkpoint."""

    head: nn.Module

    @property
    def needs_meta_batch(self) -> bool: ...

    def __call__(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, train: Batch, meta: Batch | None
    ) -> dict[str, Tensor]:
        """Updates the network once and returns metrics by name: scalars, still on the device."""
        ...

    def state_dict(self) -> dict[str, Any]: ...

    def load_state_dict(self, state: Mapping[str, Any]) -> None: ...


class PlainStep:
    """Stochastic gradient descent on a head without meta parameters."""

    needs_meta_batch = False

    def __init__(self, head: nn.Module) -> None:
        self.head = head

    def __call__(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, train: Batch, meta: Batch | None
    ) -> dict[str, Tensor]:
        inputs, targets = train
        with phase("actual/forward"):
            loss = self.head(model(inputs), targets)
        return {"train/loss": descend(model, optimiser, loss)}

    def state_dict(self) -> dict[str, Any]:
        return {}

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        del state


@dataclass
class MetaStep:
    """The paper's iteration (Algorithm 1), for any head and any choice of gates.

    Attributes:
        head: the loss head; its parameters are theta.
        head_optimiser: updates theta (rate beta).
        groups: the gated layer groups.
        gates: draws the gates; learned ones are updated by `gates_optimiser` (rate delta).
        expected_open: K of Eq. 10.
        sparsity_weight: lambda1 of Eq. 12.
        last_layer_weight: lambda2 of Eq. 12.
        lookahead_lr: learning rate of the virtual step; None takes the optimiser's current one.
        scope: layers that the virtual step moves, as in `meta_gradient`.
        engine: engine of `meta_gradient`.
        variations: differences of the released code from the paper.
        cross_fit: takes the meta set from the train batch itself; None for a meta batch.
        parallel: `exact` takes the virtual step on the global batch, with the same result as one
            process; `local` takes it on each process's own batch and averages the meta gradients.
        meta_loss: loss of the meta batch, this process's share of the global one.
        interval: steps from one update of theta and gates to the next; the first step has one.
        taken: steps taken so far.
    """

    head: nn.Module
    head_optimiser: torch.optim.Optimizer
    groups: LayerGroups
    gates: GateSampler
    gates_optimiser: torch.optim.Optimizer | None = None
    expected_open: float = 4.0
    sparsity_weight: float = 0.0
    last_layer_weight: float = 0.0
    lookahead_lr: float | None = None
    scope: Scope = "all"
    engine: Engine = "jvp"
    variations: Variations = PAPER
    cross_fit: CrossFit | None = None
    parallel: Parallel = "exact"
    meta_loss: MetaLoss = mean_cross_entropy
    interval: int = 1
    taken: int = 0

    @property
    def needs_meta_batch(self) -> bool:
        return self.cross_fit is None

    def __call__(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, train: Batch, meta: Batch | None
    ) -> dict[str, Tensor]:
        judges = meta if self.cross_fit is None else self.cross_fit
        assert judges is not None, "the loop gives a meta batch to every step that needs one"
        is_due = self.taken % self.interval == 0
        self.taken += 1
        if not is_due:
            with phase("actual/forward"):
                loss = self.head(model(train[0]), train[1])
            return {"train/loss": descend(model, optimiser, loss)}
        found = self.look_ahead(model, optimiser, train, judges)
        for name, parameter in self.head.named_parameters():
            parameter.grad = found.head_grads.get(name)
        self.head_optimiser.step()
        if isinstance(self.head, Projected):
            self.head.project()
        if self.gates_optimiser is not None:
            self._update_gates(self.gates_optimiser, found.gates_G, found.gate_grads_G)

        # Actual-Train: the forward of the virtual step, with weights from the new theta.
        loss = descend(model, optimiser, self.head(found.logits_BC, train[1]))
        return {
            "train/loss": loss,
            "meta/loss": found.meta_loss,
            "gates/open": found.gates_G.detach().sum(),
            **{
                f"gates/{group.name}": gate
                for group, gate in zip(self.groups.gated, found.gates_G.detach(), strict=True)
            },
        }

    def look_ahead(
        self,
        model: nn.Module,
        optimiser: torch.optim.Optimizer,
        train: Batch,
        judges: Batch | CrossFit,
    ) -> MetaGradient:
        """The meta gradient of one step; nothing is updated."""
        rate = optimiser.param_groups[0]["lr"] if self.lookahead_lr is None else self.lookahead_lr
        with alone() if self.parallel == "local" else nullcontext():
            found = meta_gradient(
                model,
                self.head,
                train,
                judges,
                lookahead_lr=rate,
                groups=self.groups,
                gates=self.gates,
                meta_loss=self.meta_loss,
                last_layer_weight=self.last_layer_weight,
                match_spread=self.variations.match_spread,
                scope=self.scope,
                engine=self.engine,
            )
        if self.parallel == "local":
            all_reduce_mean_(list(found.head_grads.values()))
            found = replace(found, meta_loss=found.meta_loss / world_size())
        return found

    def _update_gates(
        self, optimiser: torch.optim.Optimizer, gates_G: Tensor, gate_grads_G: Tensor
    ) -> None:
        """One step on L_c + lambda1 L_r, through the straight-through gates (Eq. 9, 10)."""
        if self.variations.closed_gates_turn:
            # There a closed gate adds (1 - r) * g.detach(), which flips its gradient's sign.
            gate_grads_G = gate_grads_G * (2 * gates_G.detach() - 1)
        loss = torch.dot(gates_G, gate_grads_G)
        if self.sparsity_weight:
            counted_G = gates_G
            if self.variations.last_gate_alone and isinstance(self.gates, LearnedGates):
                counted_G = gates_G[self.gates.last_learned :][:1]
            loss = loss + self.sparsity_weight * sparsity_loss(counted_G, self.expected_open)
        optimiser.zero_grad()
        loss.backward()
        if self.parallel == "local":
            all_reduce_mean_([p.grad for g in optimiser.param_groups for p in g["params"]])
        optimiser.step()

    def state_dict(self) -> dict[str, Any]:
        state: dict[str, Any] = {
            "head": self.head.state_dict(),
            "head_optimiser": self.head_optimiser.state_dict(),
            "taken": self.taken,
        }
        if isinstance(self.gates, LearnedGates) and self.gates_optimiser is not None:
            state["gates"] = self.gates.state_dict()
            state["gates_optimiser"] = self.gates_optimiser.state_dict()
        return state

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.head.load_state_dict(state["head"])
        load_optimiser(self.head_optimiser, state["head_optimiser"])
        self.taken = state["taken"]
        if isinstance(self.gates, LearnedGates) and self.gates_optimiser is not None:
            self.gates.load_state_dict(state["gates"])
            load_optimiser(self.gates_optimiser, state["gates_optimiser"])


def load_optimiser(optimiser: torch.optim.Optimizer, state: dict[str, Any]) -> None:
    """Loads the state of an optimiser but keeps its current learning rates.

    Learning rates are settings: in population based training a run continues from the checkpoint
    of another with its own.
    """
    rates = [group["lr"] for group in optimiser.param_groups]
    optimiser.load_state_dict(state)
    for group, rate in zip(optimiser.param_groups, rates, strict=True):
        group["lr"] = rate


def descend(model: nn.Module, optimiser: torch.optim.Optimizer, loss: Tensor) -> Tensor:
    """Takes one optimiser step on this process's share of the loss; returns the share, detached."""
    optimiser.zero_grad()
    with phase("actual/backward"):
        backward_summed(loss, list(model.parameters()))
    with phase("actual/update"):
        optimiser.step()
    return loss.detach()
