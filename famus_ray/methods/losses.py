"""Losses for long tails: class margins (LDAM) and deferred reweighting (Cao et al. 2019)."""

# Shapes: B examples, C classes.
from __future__ import annotations

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from famus_ray.config.schema import LossConfig, ModelConfig
from famus_ray.distributed import global_sum

__all__ = ["ClassLoss", "MeanClassLoss", "begin_epoch", "class_loss"]


class ClassLoss(nn.Module):
    """c_y * CE(z - margin_y * e_y, y) for each example (B,): LDAM with class weights c.

    `begin_epoch` sets margins and class weights from the class sizes; before it is called,
    margins are 0 and class weights are 1.

    Args:
        margin: of the smallest class, on the scale of the logits; 0 is cross-entropy.
        reweight_from: completed epochs after which classes are reweighted; None for never.
        beta: in [0, 1), of the effective number of examples (Cui et al. 2019).
    """

    margins_C: Tensor | None
    weights_C: Tensor | None

    def __init__(
        self, margin: float = 0.0, reweight_from: int | None = None, beta: float = 0.9999
    ) -> None:
        super().__init__()
        self.margin = margin
        self.reweight_from = reweight_from
        self.beta = beta
        # Not in checkpoints: they follow from data and epoch.
        self.register_buffer("margins_C", None, persistent=False)
        self.register_buffer("weights_C", None, persistent=False)

    def begin_epoch(self, epoch: int, counts_C: Tensor) -> None:
        """Sets margins and class weights for an epoch (from 0) and the class sizes (C,)."""
        sizes_C = counts_C.clamp_min(1).double()
        quartic_C = sizes_C**-0.25
        self.margins_C = (self.margin * quartic_C / quartic_C.max()).to(torch.get_default_dtype())
        weights_C = torch.ones_like(sizes_C)
        if self.reweight_from is not None and epoch >= self.reweight_from:
            weights_C = (1 - self.beta) / (1 - self.beta**sizes_C)
        self.weights_C = (weights_C * len(sizes_C) / weights_C.sum()).to(torch.get_default_dtype())

    def forward(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        if self.margins_C is not None:
            margins_B = self.margins_C.to(logits_BC.dtype)[targets]
            is_target_BC = F.one_hot(targets, logits_BC.shape[1])
            logits_BC = logits_BC - margins_B[:, None] * is_target_BC
        losses_B = F.cross_entropy(logits_BC, targets, reduction="none")
        return losses_B * self.example_weights(targets).to(losses_B.dtype)

    def example_weights(self, targets: Tensor) -> Tensor:
        """The class weight of each example (B,)."""
        if self.weights_C is None:
            return torch.ones_like(targets, dtype=torch.float32)
        return self.weights_C[targets]


class MeanClassLoss(nn.Module):
    """This process's share of the mean loss over the global batch, weighted by class.

    Args:
        example_loss: losses and weights of the examples.
    """

    def __init__(self, example_loss: ClassLoss) -> None:
        super().__init__()
        self.example_loss = example_loss

    def forward(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        total = global_sum(self.example_loss.example_weights(targets).sum())
        loss: Tensor = self.example_loss(logits_BC, targets).sum() / total
        return loss


def class_loss(loss: LossConfig, model: ModelConfig) -> ClassLoss | None:
    """The loss of a config's `loss` section; None for plain cross-entropy."""
    if loss.kind == "cross_entropy" and loss.reweight_from is None:
        return None
    # LDAM's s * (cos - margin) is (s * cos) - (s * margin), and s * cos is the network's logit.
    margin = loss.margin * model.logit_scale if loss.kind == "ldam" else 0.0
    return ClassLoss(margin, loss.reweight_from, loss.beta)


def begin_epoch(head: nn.Module, epoch: int, labels: Tensor, classes: int) -> None:
    """Sets the epoch (from 0) and the training labels of every `ClassLoss` in a head.

    Args:
        head: a loss head.
        epoch: that begins.
        labels: classes (N,) of all training examples.
        classes: C.
    """
    losses = [module for module in head.modules() if isinstance(module, ClassLoss)]
    if losses:
        counts_C = torch.bincount(labels, minlength=classes)
        for loss in losses:
            loss.begin_epoch(epoch, counts_C)
