"""A meta set taken from the train batch itself: no clean examples, and no second forward.

One half of the rows takes the virtual step. The other half judges it, with its rows of lowest
loss: networks learn true labels before wrong ones (Arpit et al. 2017), so those labels are
probably right. No row judges a step that it took itself, and the features below the moved
layers are those of the training forward.
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
    """The split of a train batch: rows that take the virtual step, and rows that judge it.

    Attributes:
        clean_share: share in (0, 1] of the judging half that enters the meta loss: its rows of
            lowest loss.
    """

    clean_share: float = 0.5

    def __post_init__(self) -> None:
        if not 0 < self.clean_share <= 1:
            raise ValueError(f"clean_share = {self.clean_share}: must be above 0 and at most 1")

    def learners(self, count: int) -> slice:
        """The rows among `count` of this process that take the virtual step.

        They have even positions in the global batch.
        """
        return slice(rank() * count % 2, None, 2)

    def meta_loss(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        """This process's share of the mean cross-entropy of the judging rows of lowest loss.

        A scalar in nats. No gradient flows through the choice of rows.

        Args:
            logits_BC: of all rows of this process.
            targets: classes (B,), or probabilities (B, C).

        Raises:
            ValueError: the global batch has one row only.
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
