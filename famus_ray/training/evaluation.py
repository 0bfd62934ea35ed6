"""Evaluation: accuracy and loss of a split; judgements of training examples."""

# Shapes: N examples of the split, B of them in a batch, C classes.
from __future__ import annotations

from collections.abc import Iterator
from dataclasses import dataclass, replace

import numpy as np
import pandas as pd
import torch
import torch.distributed as dist
import torch.nn.functional as F
from numpy.typing import NDArray
from torch import Tensor, nn

from famus_ray.batch import Batch
from famus_ray.config.schema import DivisionConfig
from famus_ray.data.batches import eval_batches
from famus_ray.data.catalog import Dataset, Split
from famus_ray.distributed import all_reduce_sum_, rank, world_size
from famus_ray.meta.heads import LearnedWeights
from famus_ray.models.modes import eval_mode
from famus_ray.training.division import clean_probability
from famus_ray.training.neighbours import Neighbours, reference_places

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
    """What a network says of every training example and its label, in evaluation mode.

    Every process has the same values.

    Attributes:
        losses_N: cross-entropy of the label, in nats.
        predictions_N: the class with the highest probability.
        p_label_N: probability of the label, the mean over near neighbours (`Neighbours`).
        rivals_N: the class other than the label with the highest such probability.
        p_rival_N: that probability.
        weights_N: the meta model's weights in (0, 1), NaN without one.
    """

    losses_N: NDArray[np.float64]
    predictions_N: NDArray[np.int64]
    p_label_N: NDArray[np.float64]
    rivals_N: NDArray[np.int64]
    p_rival_N: NDArray[np.float64]
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
    weighting = next((m for m in head.modules() if isinstance(m, LearnedWeights)), None)
    rows = []
    with eval_mode(model):
        near, batches = _near(model, data)
        for logits_BC, labels in batches:
            losses_B = F.cross_entropy(logits_BC, labels, reduction="none")
            p_label_B, rivals_B, p_rival_B = near.judge(logits_BC, labels)
            weights_B = torch.full_like(losses_B, float("nan"))
            if weighting is not None:
                weights_B = weighting.weight_net(weighting.example_loss(logits_BC, labels))
            found = (losses_B, logits_BC.argmax(dim=1), p_label_B, rivals_B, p_rival_B, weights_B)
            rows.append(torch.stack([column.double() for column in found]))
    gathered_6N = _gathered(torch.cat(rows, dim=1) if rows else None, (6, len(data.train)))
    losses_N, predictions_N, p_label_N, rivals_N, p_rival_N, weights_N = gathered_6N.numpy()
    return Judgement(
        losses_N, predictions_N.astype(np.int64),
        p_label_N, rivals_N.astype(np.int64), p_rival_N, weights_N,
    )  # fmt: skip


def _near(model: nn.Module, data: Dataset) -> tuple[Neighbours, Iterator[Batch]]:
    """The neighbourhoods of the training set, and this process's logits and labels in batches.

    A training set that is its own reference is evaluated once, a larger one batch by batch.
    """
    share, places = _share(data.train), reference_places(len(data.train))
    is_all = len(places) == len(data.train)
    reference = share if is_all else _share(data.train[places])
    mine = [model(inputs) for inputs, _ in eval_batches(data, reference)]
    shape = (data.classes, len(places))
    logits_CM = _gathered(torch.cat(mine).T if mine else None, shape)
    like = mine[0] if mine else data.train.labels.float()
    near = Neighbours(logits_CM.T.to(like))
    if is_all:
        sizes = [len(part) for part in mine]
        return near, zip(mine, share.labels.split(sizes) if sizes else (), strict=True)
    return near, ((model(inputs), labels) for inputs, labels in eval_batches(data, share))


def _gathered(mine: Tensor | None, shape: tuple[int, int]) -> Tensor:
    """The columns of all processes on the CPU; each has every n-th one, for n processes."""
    gathered = torch.zeros(shape, dtype=torch.float64)
    if mine is not None:
        gathered[:, rank() :: world_size()] = mine.double().cpu()
    sum_to_all(gathered)
    return gathered


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
            "p_label": found.p_label_N,
            "rival": found.rivals_N,
            "p_rival": found.p_rival_N,
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
