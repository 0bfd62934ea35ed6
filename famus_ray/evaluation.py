"""Evaluation: accuracy and loss of a split, and what is known of each training example."""

# Shapes: N examples of the split, C classes.
from __future__ import annotations

from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import replace

import numpy as np
import pandas as pd
import torch
import torch.nn.functional as F
from torch import Tensor, nn

from famus_ray.config.schema import DivisionConfig
from famus_ray.data.batches import eval_batches
from famus_ray.data.catalog import Dataset, Split
from famus_ray.division import clean_probability
from famus_ray.meta.collective import all_reduce_sum_, rank, world_size
from famus_ray.meta.heads import LearnedWeights

__all__ = ["evaluate", "judge_samples"]


@torch.no_grad()
def evaluate(model: nn.Module, data: Dataset, split: Split) -> dict[str, float]:
    """`top1` and `top5` (shares in [0, 1]) and mean `loss` (nats) of a split.

    Each worker takes every n-th example; the result is the same on all of them. The
    network is left in the mode it was in, its buffers untouched.
    """
    mine = slice(rank(), None, world_size())
    share = replace(split, pixels=split.pixels[mine], labels=split.labels[mine])
    sums = torch.zeros(4, dtype=torch.float64, device=split.labels.device)
    with _eval_mode(model):
        for inputs, labels in eval_batches(data, share):
            logits_BC = model(inputs)
            top = logits_BC.topk(min(5, data.classes), dim=1).indices
            hits = top == labels[:, None]
            loss = F.cross_entropy(logits_BC, labels, reduction="sum")
            count = torch.tensor(float(len(labels)), device=loss.device)
            sums += torch.stack([hits[:, 0].sum(), hits.sum(), loss, count])
    all_reduce_sum_([sums])
    top1, top5, loss_sum, total = sums.tolist()
    return {"top1": top1 / total, "top5": top5 / total, "loss": loss_sum / total}


@torch.no_grad()
def judge_samples(
    model: nn.Module,
    data: Dataset,
    head: nn.Module,
    division: DivisionConfig,
    epoch: int,
    seed: int,
) -> pd.DataFrame:
    """One row a training example, `tables.SAMPLES`: its loss, p(clean), weight, prediction.

    The division is made here, from the losses in evaluation mode.
    """
    losses, predictions, weights = [], [], []
    with _eval_mode(model):
        for inputs, labels in eval_batches(data, data.train):
            logits_BC = model(inputs)
            losses.append(F.cross_entropy(logits_BC, labels, reduction="none"))
            predictions.append(logits_BC.argmax(dim=1))
            if isinstance(head, LearnedWeights):
                weights.append(head.weight_net(head.example_loss(logits_BC, labels)))
    losses_N = torch.cat(losses)
    weights_N = torch.cat(weights) if weights else torch.full_like(losses_N, float("nan"))
    loss = _array(losses_N).astype(np.float64)
    return pd.DataFrame(
        {
            "epoch": epoch,
            "id": _array(data.train.ids),
            "label": _array(data.train.labels),
            "true_label": _array(data.train.true_labels),
            "prediction": _array(torch.cat(predictions)),
            "loss": loss,
            "p_clean": clean_probability(loss, division, seed)
            if np.isfinite(loss).all()
            else float("nan"),
            "weight": _array(weights_N),
        }
    )


@contextmanager
def _eval_mode(model: nn.Module) -> Iterator[None]:
    was_training = model.training
    model.eval()
    try:
        yield
    finally:
        model.train(was_training)


def _array(tensor: Tensor) -> np.ndarray:
    return tensor.cpu().numpy()
