"""Loss heads: the training loss with its meta parameters, as a function of the logits.

A head is an `nn.Module` called with logits and targets. It returns this process's share of the
training loss, a scalar; the sum over the processes is the loss of the global batch. Its
parameters are the meta parameters theta. A head sees only the logits, so its derivatives cost
next to nothing and one engine serves every head (see `famus_ray.meta.gradient`).

A head may define:
- `project()` (`Projected`), called after every update of theta, to bring theta back into its
  valid set;
- `vanishes = True` if its loss is zero at theta: the train gradient is then zero and is not
  computed;
- `per_example = True` if theta belongs to this process's examples: its gradient is then not
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

from famus_ray.distributed import global_sum, world_size

__all__ = [
    "ExampleWeights",
    "LearnedWeights",
    "MeanCrossEntropy",
    "Projected",
    "TransitionMatrix",
    "WeightNet",
    "mean_cross_entropy",
    "negative_log_likelihood",
    "summing_to_one",
]


ExampleLoss = Callable[[Tensor, Tensor], Tensor]
_cross_entropy: ExampleLoss = partial(F.cross_entropy, reduction="none")


@runtime_checkable
class Projected(Protocol):
    """A head whose theta must stay in a set: `project` brings it back after an update."""

    def project(self) -> None: ...


def mean_cross_entropy(logits_BC: Tensor, targets: Tensor) -> Tensor:
    """This process's share of the mean cross-entropy over the global batch, a scalar.

    Targets are class indices (B,) or class probabilities (B, C). Every process must
    hold the same number of examples.
    """
    return F.cross_entropy(logits_BC, targets, reduction="mean") / world_size()


class MeanCrossEntropy(nn.Module):
    """Plain training: every example has the same weight, and there is no theta."""

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
        """The weight (B,) of each example, in [0, 1].

        The weights sum to 1 over all processes, or are all 0 where Psi is 0 for every example.
        The losses are detached: no gradient reaches the network through the weights.
        """
        raw_B = self.weight_net(losses_B.detach())
        return summing_to_one(raw_B, global_sum(raw_B.sum()))


def summing_to_one(raw_B: Tensor, total: Tensor) -> Tensor:
    """raw / total (B,), zeros where the total is 0 up to rounding (MW-Net's released code).

    Args:
        raw_B: weights of 0 or more; or several rows (R, B) of them.
        total: their sum over all processes, a scalar, or (R, 1) for several rows.
    """
    finfo = torch.finfo(raw_B.dtype)
    counts = total > finfo.tiny / finfo.eps**2  # below, the gradient of the quotient overflows
    shares_B = torch.where(counts, raw_B, torch.zeros_like(raw_B))
    return shares_B / torch.where(counts, total, torch.ones_like(total))


class ExampleWeights(nn.Module):
    """sum_i eps_i * loss_i at eps = 0, with one meta parameter per example (Ren et al. 2018)."""

    vanishes = True
    per_example = True

    def __init__(self, like: Tensor, example_loss: ExampleLoss | None = None) -> None:
        """`like` gives dtype and device; its first dimension is the number of examples."""
        super().__init__()
        self.eps_B = nn.Parameter(like.new_zeros(like.shape[0]))
        self.example_loss = example_loss or _cross_entropy

    def forward(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        return torch.dot(self.eps_B, self.example_loss(logits_BC, targets))


def negative_log_likelihood(probabilities_BC: Tensor, targets: Tensor) -> Tensor:
    """-log of the label's probability (B,), in nats; its mean under targets that are probabilities.

    Probabilities are clamped to at least eps^2 of their type: a loss is at most 32 nats in
    float32, and second derivatives stay finite.

    Args:
        probabilities_BC: probability of each label; rows are not normalised here.
        targets: classes (B,), or probabilities (B, C).
    """
    smallest = torch.finfo(probabilities_BC.dtype).eps ** 2
    logs_BC = probabilities_BC.clamp_min(smallest).log()
    if targets.dim() == 1:
        return F.nll_loss(logs_BC, targets, reduction="none")
    return -(targets * logs_BC).sum(dim=1)


class TransitionMatrix(nn.Module):
    """-log (T softmax(z))_y, mean over the global batch, with T[y, c] = p(label y | class c).

    The columns of T are distributions over labels (Wang et al. 2020, MLC). T begins near the
    identity: `stays` on the diagonal, the rest of each column spread evenly.

    Args:
        classes: C; T has shape (C, C).
        stays: first value of the diagonal, in [0, 1].
        label_loss: losses (B,) from the labels' probabilities (B, C) and targets.
    """

    def __init__(
        self, classes: int, stays: float = 0.9, label_loss: ExampleLoss = negative_log_likelihood
    ) -> None:
        super().__init__()
        self.label_loss = label_loss
        others = (1 - stays) / (classes - 1)
        self.matrix_CC = nn.Parameter(torch.full((classes, classes), others).fill_diagonal_(stays))

    def forward(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        """This process's share of the mean loss, a scalar in nats."""
        labels_BC = torch.softmax(logits_BC, dim=1) @ self.matrix_CC.T
        return self.label_loss(labels_BC, targets).mean() / world_size()

    @torch.no_grad()
    def project(self) -> None:
        """Clips negative entries and makes every column sum to 1; an empty column is uniform."""
        self.matrix_CC.clamp_(min=0)
        total_C = self.matrix_CC.sum(dim=0)
        is_empty_C = total_C < torch.finfo(total_C.dtype).tiny
        self.matrix_CC.masked_fill_(is_empty_C, 1.0)
        self.matrix_CC.div_(self.matrix_CC.sum(dim=0))
