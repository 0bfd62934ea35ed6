"""Probabilities averaged over near neighbours: what a network says of images like this one.

A network learns single wrong labels by heart before it gives the images around them a wrong
class. So the mean probability over neighbours tells wrong labels from right ones for longer than
the network's own probability does. Neighbours judge labels in SSR (Feng et al. 2022), too, there
by their labels and in feature space.
"""

# Shapes: M reference examples, B examples of a batch, C classes.
from __future__ import annotations

import torch
from torch import Tensor

__all__ = ["Neighbours", "reference_places"]

_REFERENCE = 20_000  # examples among which neighbours are looked for
_NEIGHBOURS = 50
_SHARE = 5  # neighbours are at most 1 in so many of the examples of a class of average size
_ROWS = 512


def reference_places(count: int) -> Tensor:
    """Sorted places of the reference among `count` examples: at most 20,000, evenly spread."""
    chosen = min(count, _REFERENCE)
    return torch.arange(chosen) * count // max(chosen, 1)


class Neighbours:
    """The near neighbours of examples in the space of a network's logits.

    An example's neighbours are the 50 reference examples with the nearest logits, in Euclidean
    distance; fewer where there are less than 250 a class. A reference example is among its own.

    Args:
        logits_MC: of the reference.
    """

    def __init__(self, logits_MC: Tensor) -> None:
        count, classes = logits_MC.shape
        self.logits_MC = logits_MC
        self.probabilities_MC = logits_MC.softmax(dim=1)
        self.wanted = max(1, min(_NEIGHBOURS, count // (_SHARE * classes)))

    def judge(self, logits_BC: Tensor, labels_B: Tensor) -> tuple[Tensor, Tensor, Tensor]:
        """Mean probability of the label, the other class with the highest one, and that one (B,).

        Args:
            logits_BC: of a batch.
            labels_B: int64, in [0, C).
        """
        means = [self._mean(rows) for rows in logits_BC.to(self.logits_MC.dtype).split(_ROWS)]
        mean_BC = torch.cat(means)
        p_label_B = mean_BC.gather(1, labels_B[:, None])[:, 0]
        p_rival_B, rivals_B = mean_BC.scatter(1, labels_B[:, None], -1.0).max(dim=1)
        return p_label_B, rivals_B, p_rival_B

    def _mean(self, logits_BC: Tensor) -> Tensor:
        distances_BM = torch.cdist(logits_BC, self.logits_MC)
        nearest_BK = distances_BM.topk(self.wanted, largest=False, sorted=False).indices
        return self.probabilities_MC[nearest_BK].mean(dim=1)
