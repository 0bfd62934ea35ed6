"""A meta set taken from the train batch itself: no clean examples, and no second forward.

One half of the rows takes the virtual step, the other half judges it, by those of its rows
whose loss is lowest: networks learn true labels before wrong ones (Arpit et al. 2017), so
those labels are probably right. No row judges a step that it took itself, and the features
below the moved layers are those of the training forward.
"""

# Shapes: B examples of this process, C classes.
from __future__ import annotations

from dataclasses import dataclass

import torch
import torch.nn.functional as F
from torch import Tensor

from famus_ray.distributed import global_values, rank, world_size

__all__ = ["CrossFit"]


@dataclass(frozen=True)
class CrossFit:
    """Which rows learn and which judge.

    Attributes:
        clean_share: share in (0, 1] of the judging rows, those of lowest loss, that judge.
    """

    clean_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.clean_share <= 1:
            raise ValueError(f"clean_share = {self.clean_share}: must be above 0 and at most 1")

    def learners(self, count: int) -> slice:
        """This process's rows, of `count`, that take the virtual step: the even ones of the
        global batch."""
        return slice(rank() * count % 2, None, 2)

    def meta_loss(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        """Mean cross-entropy of the judging rows of lowest loss, this process's share of it.

        Which rows those are is no path for gradients.
        """
        if len(targets) * world_size() < 2:
            raise ValueError("train_batch: has one row; one that learns and one that judges needed")
        losses_B = F.cross_entropy(logits_BC, targets, reduction="none")
        judged_B = losses_B.detach().clone()
        judged_B[self.learners(len(targets))] = torch.inf
        judged = global_values(judged_B)
        kept = (self.clean_share * torch.isfinite(judged).sum()).round().clamp_min(1)
        highest = judged.sort().values.take(kept.long() - 1)
        return torch.where(judged_B <= highest, losses_B, 0).sum() / kept
