"""Loss heads: what the meta model does to the training loss, as a function of logits.

A head is an `nn.Module` called with logits and targets; it returns this process's share
of the training loss, a scalar, whose sum over the processes is the loss of the whole
batch. Its parameters are the meta parameters theta. Because it sees the logits only, its
derivatives cost next to nothing, and every head shares one engine (see `gradient`).

A head may have a method `project()` (`Projected`), called after theta was updated, that brings
theta back to where it means something. It may say `vanishes = True` if its loss is zero at
theta, so that the virtual step goes nowhere and need not be computed, and
`per_example = True` if theta belongs to this process's examples, so that its gradient is not
summed over the processes.
"""

# Shapes: B local examples, C classes.
from __future__ import annotations

from collections.abc import Callable
from functools import partial
from typing import Protocol, runtime_checkable

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from famus_ray.meta.collective import global_sum, world_size

__all__ = [
    "ExampleWeights",
    "LearnedWeights",
    "MeanCrossEntropy",
    "Projected",
    "TransitionMatrix",
    "WeightNet",
    "mean_cross_entropy",
]


ExampleLoss = Callable[[Tensor, Tensor], Tensor]
_cross_entropy: ExampleLoss = partial(F.cross_entropy, reduction="none")


@runtime_checkable
class Projected(Protocol):
    """A head whose theta lives in a set: `project` brings it back there after an update."""

    def project(self) -> None: ...


def mean_cross_entropy(logits_BC: Tensor, targets: Tensor) -> Tensor:
    """This process's share of the mean cross-entropy over the global batch, a scalar.

    Targets are class indices (B,) or class probabilities (B, C). Every process must
    hold the same number of examples.
    """
    return F.cross_entropy(logits_BC, targets, reduction="mean") / world_size()


class MeanCrossEntropy(nn.Module):
    """Plain training: every example counts alike, nothing is learned."""

    def forward(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        """`mean_cross_entropy`: this process's share of the mean, a scalar in nats."""
        return mean_cross_entropy(logits_BC, targets)


class WeightNet(nn.Module):
    """Psi of Eq. 3: an example's weight in (0, 1) from its loss.

    One hidden layer with ReLU and a sigmoid, as in Meta-Weight-Net (Shu et al. 2019).
    """

    def __init__(self, hidden: int = 100) -> None:
        super().__init__()
        self.hidden = nn.Linear(1, hidden)
        self.output = nn.Linear(hidden, 1)

    def forward(self, losses_B: Tensor) -> Tensor:
        hidden_BH = torch.relu(self.hidden(losses_B.unsqueeze(1)))
        return torch.sigmoid(self.output(hidden_BH)).squeeze(1)


class LearnedWeights(nn.Module):
    """sum_i v_i * loss_i with v = Psi(loss), normalised to sum 1 over the global batch (Eq. 3).

    Args:
        weight_net: Psi; a `WeightNet` when None.
        example_loss: losses (B,) from logits and targets; cross-entropy when None.
    """

    def __init__(
        self, weight_net: nn.Module | None = None, example_loss: ExampleLoss | None = None
    ) -> None:
        super().__init__()
        self.weight_net = WeightNet() if weight_net is None else weight_net
        self.example_loss = example_loss or _cross_entropy

    def forward(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        """This process's share of the weighted loss, a scalar in nats.

        Args:
            logits_BC: of this process's examples.
            targets: classes (B,), or probabilities (B, C); what `example_loss` takes.
        """
        losses_B = self.example_loss(logits_BC, targets)
        return torch.dot(self.weights(losses_B), losses_B)

    def weights(self, losses_B: Tensor) -> Tensor:
        """Each example's weight (B,), in [0, 1]; they sum to 1 over all processes.

        The losses are detached: the weights are no path from the loss to the network.
        """
        raw_B = self.weight_net(losses_B.detach())
        weights_B: Tensor = raw_B / global_sum(raw_B.sum()).clamp_min(torch.finfo(raw_B.dtype).tiny)
        return weights_B


class ExampleWeights(nn.Module):
    """sum_i eps_i * loss_i at eps = 0: one meta parameter an example (Ren et al. 2018, L2RW)."""

    vanishes = True
    per_example = True

    def __init__(self, like: Tensor, example_loss: ExampleLoss | None = None) -> None:
        """`like` gives dtype and device; its first dimension is the number of examples."""
        super().__init__()
        self.eps_B = nn.Parameter(like.new_zeros(like.shape[0]))
        self.example_loss = example_loss or _cross_entropy

    def forward(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        return torch.dot(self.eps_B, self.example_loss(logits_BC, targets))


class TransitionMatrix(nn.Module):
    """-log (T softmax(z))_y, mean over the global batch: T[y, c] = p(label y | class c).

    The columns of T are distributions over labels (Wang et al. 2020, MLC). It begins near
    the identity: `stays` of each column on the diagonal, the rest spread evenly.
    """

    def __init__(
        self, classes: int, stays: float = 0.9, example_loss: ExampleLoss | None = None
    ) -> None:
        super().__init__()
        self.example_loss = example_loss or _cross_entropy
        others = (1 - stays) / (classes - 1)
        self.matrix_CC = nn.Parameter(torch.full((classes, classes), others).fill_diagonal_(stays))

    def forward(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        labels_BC = torch.softmax(logits_BC, dim=1) @ self.matrix_CC.T
        tiny = torch.finfo(labels_BC.dtype).tiny
        # Logarithms of probabilities are logits of these probabilities.
        losses_B = self.example_loss(labels_BC.clamp_min(tiny).log(), targets)
        return losses_B.mean() / world_size()

    @torch.no_grad()
    def project(self) -> None:
        """No negative entries, and every column sums to 1."""
        self.matrix_CC.clamp_(min=0)
        self.matrix_CC.div_(self.matrix_CC.sum(dim=0, keepdim=True).clamp_min(1e-12))
