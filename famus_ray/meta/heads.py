"""Loss heads: what the meta model does to the training loss, as a function of logits.

A head is an `nn.Module` called with logits and targets; it returns this process's share
of the training loss, a scalar, whose sum over the processes is the loss of the whole
batch. Its parameters are the meta parameters theta. Because it sees the logits only, its
derivatives cost next to nothing, and every head shares one engine (see `gradient`).
"""

# Shapes: B local examples, C classes.
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from famus_ray.meta.collective import global_sum, world_size

__all__ = ["LearnedWeights", "MeanCrossEntropy", "WeightNet", "mean_cross_entropy"]


def mean_cross_entropy(logits_BC: Tensor, targets: Tensor) -> Tensor:
    """This process's share of the mean cross-entropy over the global batch, a scalar.

    Targets are class indices (B,) or class probabilities (B, C). Every process must
    hold the same number of examples.
    """
    return F.cross_entropy(logits_BC, targets, reduction="mean") / world_size()


class MeanCrossEntropy(nn.Module):
    """Plain training: every example counts alike, nothing is learned."""

    def forward(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
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
    """sum_i v_i * loss_i with v = Psi(loss), normalised to sum 1 over the global batch (Eq. 3)."""

    def __init__(self, weight_net: nn.Module | None = None) -> None:
        super().__init__()
        self.weight_net = WeightNet() if weight_net is None else weight_net

    def forward(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        losses_B = F.cross_entropy(logits_BC, targets, reduction="none")
        return torch.dot(self.weights(losses_B), losses_B)

    def weights(self, losses_B: Tensor) -> Tensor:
        """Each example's weight (B,), in [0, 1]; they sum to 1 over all processes.

        The losses are detached: the weights are no path from the loss to the network.
        """
        raw_B = self.weight_net(losses_B.detach())
        weights_B: Tensor = raw_B / global_sum(raw_B.sum()).clamp_min(torch.finfo(raw_B.dtype).tiny)
        return weights_B
