"""MixMatch on a divided training set (Section 5.3, supplement; Li et al. 2020, DivideMix).

Labels are refined or guessed and sharpened; then all examples are mixed with each other. The
targets of a mixed batch are one tensor (B, C + 1): class probabilities, and in the last column
the weight of the squared error, or -1 where the loss is cross-entropy. So each row says which
half it belongs to, and heads and steps need no other information.
"""

# Shapes: B rows of a mixed batch, C classes.
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from famus_ray.distributed import global_sum, world_size
from famus_ray.meta.heads import (
    LearnedWeights,
    Projected,
    mean_cross_entropy,
    negative_log_likelihood,
    summing_to_one,
)

__all__ = [
    "HalvesWeights",
    "MixedHead",
    "MixedLoss",
    "MixedMean",
    "PriorMetaLoss",
    "guess",
    "mixed_label_loss",
    "mixed_targets",
    "prior_divergence",
    "refine",
    "sharpen",
]

CROSS_ENTROPY = -1.0


def sharpen(probabilities_BC: Tensor, temperature: float) -> Tensor:
    """p^(1/T) (B, C), normalised; a lower T moves mass to the most probable class."""
    largest_B1 = probabilities_BC.amax(dim=1, keepdim=True)
    powers_BC = (probabilities_BC / largest_B1) ** (1 / temperature)  # only small ones underflow
    return powers_BC / powers_BC.sum(dim=1, keepdim=True)


def refine(
    labels_B: Tensor, p_clean_B: Tensor, views_BC: tuple[Tensor, Tensor], temperature: float
) -> Tensor:
    """Targets (B, C) of labelled examples (DivideMix, Eq. 3, 4).

    They are p * label + (1 - p) * prediction, sharpened.

    Args:
        labels_B: class indices.
        p_clean_B: probabilities p that the labels are right.
        views_BC: predictions for two views, averaged.
        temperature: of `sharpen`.
    """
    predicted_BC = (views_BC[0] + views_BC[1]) / 2
    given_BC = F.one_hot(labels_B, predicted_BC.shape[1]).to(predicted_BC.dtype)
    p_B1 = p_clean_B[:, None].to(predicted_BC.dtype)
    return sharpen(p_B1 * given_BC + (1 - p_B1) * predicted_BC, temperature)


def guess(predictions_BC: tuple[Tensor, ...], temperature: float) -> Tensor:
    """Targets (B, C) of unlabelled examples (DivideMix, Eq. 5).

    They are the mean of the predictions, of both networks on two views each, sharpened.
    """
    return sharpen(torch.stack(predictions_BC).mean(dim=0), temperature)


def mixed_targets(labelled_BC: Tensor, unlabelled_BC: Tensor, squared_weight: float) -> Tensor:
    """The targets (B, C + 1) of a batch: labelled rows first, then unlabelled rows.

    Args:
        labelled_BC, unlabelled_BC: class probabilities.
        squared_weight: weight of the squared error of unlabelled rows, 0 or more.
    """
    kinds = [
        F.pad(labelled_BC, (0, 1), value=CROSS_ENTROPY),
        F.pad(unlabelled_BC, (0, 1), value=squared_weight),
    ]
    return torch.cat(kinds)


class MixedLoss(nn.Module):
    """Losses (B,) of the rows of a mixed batch (DivideMix, Eq. 9, 10).

    Cross-entropy for labelled rows, weight * mean_c (p_c - t_c)^2 for unlabelled ones. Targets of
    shape (B,) are class indices of labelled rows.
    """

    def forward(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        if targets.dim() == 1:
            return F.cross_entropy(logits_BC, targets, reduction="none")
        cross_B = F.cross_entropy(logits_BC, targets[:, :-1], reduction="none")
        return _by_half(cross_B, torch.softmax(logits_BC, dim=1), targets)


def mixed_label_loss(probabilities_BC: Tensor, targets: Tensor) -> Tensor:
    """`MixedLoss` (B,) computed from probabilities (B, C), such as a transition matrix returns."""
    if targets.dim() == 1:
        return negative_log_likelihood(probabilities_BC, targets)
    cross_B = negative_log_likelihood(probabilities_BC, targets[:, :-1])
    return _by_half(cross_B, probabilities_BC, targets)


def _by_half(cross_B: Tensor, probabilities_BC: Tensor, targets: Tensor) -> Tensor:
    wanted_BC, weight_B = targets[:, :-1], targets[:, -1]
    squared_B = (probabilities_BC - wanted_BC).square().mean(dim=1)
    return torch.where(weight_B < 0, cross_B, weight_B * squared_B)


class MixedMean(nn.Module):
    """This process's share of the mean of `MixedLoss` over the global batch, a scalar."""

    def __init__(self) -> None:
        super().__init__()
        self.example_loss = MixedLoss()

    def forward(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        mean: Tensor = self.example_loss(logits_BC, targets).mean() / world_size()
        return mean


class HalvesWeights(LearnedWeights):
    """Learned weights that sum to 1/2 over the labelled and to 1/2 over the unlabelled rows.

    The sums run over the global batch. So the weights choose examples, and lambda_u alone
    balances the two losses.
    """

    def forward(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        losses_B = self.example_loss(logits_BC, targets)
        is_labelled_B = targets[:, -1] < 0
        raw_B = self.weight_net(losses_B.detach())
        halves_2B = torch.stack([raw_B * is_labelled_B, raw_B * ~is_labelled_B])
        sums_21 = global_sum(halves_2B.sum(dim=1, keepdim=True))
        weights_B = summing_to_one(halves_2B, sums_21).sum(dim=0) / 2
        return torch.dot(weights_B, losses_B)


def prior_divergence(logits_BC: Tensor) -> Tensor:
    """This process's share of KL(uniform || mean prediction of the global batch), a scalar.

    As a penalty it keeps the networks from predicting one class for all examples (Tanaka et al.
    2018).
    """
    count = global_sum(logits_BC.new_full((), len(logits_BC)))
    mean_C = global_sum(torch.softmax(logits_BC, dim=1).sum(dim=0)) / count
    classes = logits_BC.shape[1]
    tiny = torch.finfo(mean_C.dtype).tiny
    divergence = -(mean_C.clamp_min(tiny) * classes).log().mean()
    return divergence / world_size()


class MixedHead(nn.Module):
    """A method's head on mixed batches: 2 * head + prior_weight * `prior_divergence`.

    A head's weights sum to 1 over the batch, while DivideMix averages over each half
    (L_x + lambda_u L_u): hence the factor 2. With equal weights every method is DivideMix.
    """

    def __init__(self, head: nn.Module, prior_weight: float) -> None:
        super().__init__()
        self.head = head
        self.prior_weight = prior_weight
        self.vanishes = getattr(head, "vanishes", False) and not prior_weight
        self.per_example = getattr(head, "per_example", False)

    def forward(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        loss: Tensor = 2 * self.head(logits_BC, targets)
        if self.prior_weight:
            loss = loss + self.prior_weight * prior_divergence(logits_BC)
        return loss

    def project(self) -> None:
        """Brings theta back into its valid set, if the head has a `project` of its own."""
        if isinstance(self.head, Projected):
            self.head.project()


class PriorMetaLoss:
    """Mean cross-entropy of the meta batch plus prior_weight * `prior_divergence`.

    The released code of FaMUS uses it; the paper has the cross-entropy alone.
    """

    def __init__(self, prior_weight: float) -> None:
        self.prior_weight = prior_weight

    def __call__(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        loss = mean_cross_entropy(logits_BC, targets)
        return loss + self.prior_weight * prior_divergence(logits_BC)
