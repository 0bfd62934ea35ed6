"""The virtual step, its meta loss and the resulting `MetaGradient`, shared by all engines."""

# Shapes: B train examples, C classes, G gated layer groups.
from __future__ import annotations

from collections.abc import Callable, Mapping
from contextlib import AbstractContextManager, nullcontext
from dataclasses import dataclass

import torch
from torch import Tensor, nn

from famus_ray.batch import Batch
from famus_ray.choices import Scope
from famus_ray.distributed import gradients_summed
from famus_ray.meta.arguments import check_loss, check_unused
from famus_ray.meta.cross_fit import CrossFit
from famus_ray.meta.gates import GateSampler
from famus_ray.meta.replay import ForwardRecord
from famus_ray.meta.substitute import copies, replaced
from famus_ray.meta.watch import Watch
from famus_ray.models.layer_groups import LayerGroups
from famus_ray.phases import phase

__all__ = ["Lookahead", "MetaGradient", "MetaLoss", "gradients", "stepped"]

MetaLoss = Callable[[Tensor, Tensor], Tensor]


@dataclass(frozen=True)
class MetaGradient:
    """The result of one virtual and meta step; nothing is updated yet.

    Attributes:
        head_grads: meta gradient of each parameter of the head, by name, summed over all
            processes; not summed for a head with `per_example`.
        gates_G: the gates drawn, differentiable in the sampler's parameters.
        gate_grads_G: derivative of the meta loss with respect to each gate, the same on every
            process.
        logits_BC: the train batch's logits, still attached to the network: the actual step
            differentiates them and needs no forward of its own.
        meta_loss: this process's share of L_meta at the virtual weights, a detached scalar.
    """

    head_grads: dict[str, Tensor]
    gates_G: Tensor
    gate_grads_G: Tensor
    logits_BC: Tensor
    meta_loss: Tensor


@dataclass(frozen=True)
class Lookahead:
    """One virtual step and its meta loss; fields are the arguments of `gradient.meta_gradient`."""

    model: nn.Module
    head: nn.Module
    groups: LayerGroups
    gates: GateSampler
    meta_loss: MetaLoss
    lr: float
    last_layer_weight: float
    match_spread: bool
    scope: Scope
    cross_fit: CrossFit | None = None

    def trainable(self) -> dict[str, nn.Parameter]:
        return {n: p for n, p in self.model.named_parameters() if p.requires_grad}

    def moved(self) -> list[str]:
        """Names of the parameters that the virtual step moves."""
        return list(self.trainable() if self.scope == "all" else self.groups.gated_parameters)

    def theta(self) -> dict[str, nn.Parameter]:
        return {n: p for n, p in self.head.named_parameters() if p.requires_grad}

    def train_loss(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        """This process's share of the head's loss on the rows that take the virtual step."""
        if self.cross_fit is None:
            loss: Tensor = self.head(logits_BC, targets)
        else:
            rows = self.cross_fit.learners(len(targets))
            loss = self.head(logits_BC[rows], targets[rows])
        check_loss("head", loss)
        return loss

    def draw_gates(self, train_grads: Mapping[str, Tensor]) -> Tensor:
        """The gates (G,) of the gated groups."""
        gates_G = self.gates(self.groups.gated, train_grads)
        if gates_G.shape != (len(self.groups.gated),):
            raise ValueError(
                f"gates: drew {tuple(gates_G.shape)} for {len(self.groups.gated)} gated groups"
            )
        return gates_G

    def judged(
        self,
        moved: Mapping[str, Tensor],
        wanted: Mapping[str, Tensor],
        meta_batch: Batch,
        again: AbstractContextManager[None],
        seen: Watch,
        *,
        summed: bool,
    ) -> tuple[Tensor, dict[str, Tensor]]:
        """The meta loss at the virtual weights, detached, and its gradients by name.

        The forward sees copies of the buffers, so running statistics do not change.

        Args:
            moved: tensors in place of the network's parameters, by name.
            wanted: the leaves among `moved` to differentiate by.
            meta_batch: inputs and targets.
            again: context of the forward, see the method `again`.
            seen: what the network did in the recorded forward.
            summed: sum the gradients over all processes.

        Raises:
            ValueError: the loss reads parameters of the network that are not replaced.
        """
        own = self.trainable()
        still = {n: p.detach() for n, p in self.model.named_parameters() if n not in moved}
        inputs, targets = meta_batch
        buffers = self.buffers()
        with replaced(self.model, {**still, **moved, **buffers}):
            before = copies(buffers) if seen.recomputes else {}
            with phase("meta/forward"):
                with again:
                    logits_BC = self.model(inputs)
                loss = self.meta_loss(logits_BC, targets)
            check_loss("meta_loss", loss)
            with phase("meta/backward"), self.recomputing(before, seen):
                grads, unused = gradients_summed(
                    loss, list(wanted.values()), None, list(own.values()), summed=summed
                )
        check_unused(own, unused)
        return loss.detach(), dict(zip(wanted, grads, strict=True))

    def again(self, record: ForwardRecord) -> AbstractContextManager[None]:
        """The context for repeating the recorded forward: outputs that no moved parameter reaches
        are reused, and random numbers are the same."""
        return record.reusing() if self.scope == "tail" else record.same_numbers()

    def recomputing(
        self, buffers: Mapping[str, Tensor], seen: Watch
    ) -> AbstractContextManager[None]:
        """The context for a backward that may recompute parts of the forward: they read `buffers`,
        as the forward did, and update copies."""
        return replaced(self.model, copies(buffers)) if seen.recomputes else nullcontext()

    def buffers(self) -> dict[str, Tensor]:
        return copies(dict(self.model.named_buffers()))


def stepped(parameter: Tensor, grad: Tensor, lr: float) -> Tensor:
    """The parameter after one plain gradient step, w_hat of Eq. 3."""
    return torch.add(parameter.detach(), grad, alpha=-lr)


def gradients(
    output: Tensor,
    inputs: Mapping[str, Tensor],
    grad_output: Tensor | None,
    *,
    summed: bool = False,
) -> dict[str, Tensor]:
    """Gradients of the output by name; zeros for inputs it does not depend on. Keeps the graph.

    Args:
        output: differentiated.
        inputs: tensors to differentiate by, by name.
        grad_output: factor of the output's gradient, in its shape; None for a scalar output.
        summed: sum over all processes.
    """
    if not inputs:
        return {}
    grads, _ = gradients_summed(output, list(inputs.values()), grad_output, summed=summed)
    return dict(zip(inputs, grads, strict=True))
