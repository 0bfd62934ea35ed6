"""Evaluation: accuracy and loss of a split; loss, prediction and weight of training examples."""

# Shapes: N examples of the split, C classes.
from __future__ import annotations

from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
import torch.distributed as dist
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from famus_ray.config.schema import DivisionConfig
from famus_ray.data.batches import eval_batches
from famus_ray.data.catalog import Dataset, Split
from famus_ray.distributed import all_reduce_sum_, rank, world_size
from famus_ray.meta.heads import LearnedWeights
from famus_ray.models.modes import eval_mode
from famus_ray.training.division import clean_probability

__all__ = ["Judgement", "evaluate", "judge", "samples_frame"]


@torch.no_grad()
def evaluate(model: nn.Module, data: Dataset, split: Split) -> dict[str, float]:
    """`top1` and `top5` (shares in [0, 1]) and mean `loss` (nats) of a split.

    Each of n workers evaluates every n-th example; all get the same result. The network's mode
    and buffers do not change.
    """
    sums = torch.zeros(4, dtype=torch.float64, device=split.labels.device)
    with eval_mode(model):
        for inputs, labels in eval_batches(data, _share(split)):
            logits_BC = model(inputs)
            top = logits_BC.topk(min(5, data.classes), dim=1).indices
            hits = top == labels[:, None]
            loss = F.cross_entropy(logits_BC, labels, reduction="sum")
            count = torch.tensor(float(len(labels)), device=loss.device)
            sums += torch.stack([hits[:, 0].sum(), hits.sum(), loss, count])
    all_reduce_sum_([sums])
    top1, top5, loss_sum, total = sums.tolist()
    return {"top1": top1 / total, "top5": top5 / total, "loss": loss_sum / total}


@dataclass(frozen=True)
class Judgement:
    """A network's loss, prediction and weight for every training example.

    Every process has the same values.

    Attributes:
        losses_N: cross-entropy of the label, in nats, in evaluation mode.
        predictions_N: the class with the highest probability.
        weights_N: the meta model's weights in (0, 1), NaN without one.
    """

    losses_N: NDArray[np.float64]
    predictions_N: NDArray[np.int64]
    weights_N: NDArray[np.float64]

    def p_clean(self, division: DivisionConfig, seed: int) -> NDArray[np.float64]:
        """p(clean) (N,) from `division.clean_probability`; all NaN if any loss is not finite.

        The first process computes it for all: another might round differently and train on
        another division.
        """
        if not np.isfinite(self.losses_N).all():
            return np.full(len(self.losses_N), np.nan)
        shared = torch.zeros(len(self.losses_N), dtype=torch.float64)
        if rank() == 0:
            shared += torch.from_numpy(clean_probability(self.losses_N, division, seed))
        sum_to_all(shared)
        return shared.numpy()


@torch.no_grad()
def judge(model: nn.Module, data: Dataset, head: nn.Module) -> Judgement:
    """The network's judgement of the whole training set; each process evaluates its share."""
    rows = []
    weighting = next((m for m in head.modules() if isinstance(m, LearnedWeights)), None)
    with eval_mode(model):
        for inputs, labels in eval_batches(data, _share(data.train)):
            logits_BC = model(inputs)
            losses_B = F.cross_entropy(logits_BC, labels, reduction="none")
            weights_B = torch.full_like(losses_B, float("nan"))
            if weighting is not None:
                weights_B = weighting.weight_net(weighting.example_loss(logits_BC, labels))
            rows.append(torch.stack([losses_B, logits_BC.argmax(dim=1), weights_B]).double())
    gathered_3N = torch.zeros(3, len(data.train), dtype=torch.float64)
    if rows:
        gathered_3N[:, rank() :: world_size()] = torch.cat(rows, dim=1).cpu()
    sum_to_all(gathered_3N)
    losses_N, predictions_N, weights_N = gathered_3N.numpy()
    return Judgement(losses_N, predictions_N.astype(np.int64), weights_N)


def samples_frame(
    data: Dataset, found: Judgement, p_clean_N: NDArray[np.float64], epoch: int, network: int
) -> pd.DataFrame:
    """A table with one row per training example, in the columns `tables.SAMPLES`."""
    return pd.DataFrame(
        {
            "epoch": epoch,
            "network": network,
            "id": data.train.ids.cpu().numpy(),
            "label": data.train.labels.cpu().numpy(),
            "true_label": data.train.true_labels.cpu().numpy(),
            "prediction": found.predictions_N,
            "loss": found.losses_N,
            "p_clean": p_clean_N,
            "weight": found.weights_N,
        }
    )


def sum_to_all(tensor: Tensor) -> None:
    """Replaces a tensor on the CPU by its sum over all processes, in place.

    It goes through the GPU if the processes communicate by NCCL.
    """
    if world_size() == 1:
        return
    device = "cuda" if dist.get_backend() == "nccl" else "cpu"
    moved = tensor.to(device)
    all_reduce_sum_([moved])
    tensor.copy_(moved)


def _share(split: Split) -> Split:
    """This process's share of a split: every n-th example, for n processes."""
    mine = slice(rank(), None, world_size())
    return replace(split, pixels=split.pixels[mine], labels=split.labels[mine])
