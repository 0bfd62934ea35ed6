"""Diagnostics of the meta gradient: the effect of gating on it, and the learned weights.

They are measured after every `run.diagnose_every` epochs and do not change the training.
"""

# Shapes: N training examples; in `diagnose_gradient` N batches, D parameters of the head.
from __future__ import annotations

from collections.abc import Sequence
from dataclasses import replace

import numpy as np
import torch
from torch import Tensor, nn

from famus_ray.batch import Batch
from famus_ray.data.catalog import Dataset
from famus_ray.meta.gates import FixedGates
from famus_ray.meta.step import MetaStep, TrainStep
from famus_ray.models.layer_groups import layer_groups
from famus_ray.training.evaluation import judge

__all__ = ["BINS", "diagnose_gradient", "diagnose_weights"]

BINS = 10


def diagnose_gradient(
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    step: TrainStep,
    pairs: Sequence[tuple[Batch, Batch | None]],
) -> dict[str, float]:
    """The gated meta gradient compared with the full one over some batches (paper, Figure 4).

    Returns:
        `meta/cosine`: mean cosine between the two in [-1, 1]; `meta/variance` and
        `meta/variance_full`: squared distance of each from its mean over the batches, as a
        share in [0, 1] of its mean square. Empty for a method without gates, and where a
        gradient is zero.
    """
    if not isinstance(step, MetaStep) or not pairs:
        return {}
    everything = layer_groups(model, "stage", "all")
    ones = torch.ones(len(everything.gated), device=next(model.parameters()).device)
    full = replace(step, groups=everything, gates=FixedGates(ones), scope="all")
    buffers = {name: buffer.clone() for name, buffer in model.named_buffers()}
    gated_ND, full_ND = (
        torch.stack([_meta_gradient(s, model, optimiser, pair) for pair in pairs]).double()
        for s in (step, full)
    )
    with torch.no_grad():
        for name, buffer in model.named_buffers():
            buffer.copy_(buffers[name])
    cosine = torch.cosine_similarity(gated_ND, full_ND, dim=1)
    seen = gated_ND.norm(dim=1) > 0  # all gates closed: no direction to compare
    if not seen.any():
        return {}
    return {
        "meta/cosine": float(cosine[seen].mean()),
        "meta/variance": _relative_variance(gated_ND),
        "meta/variance_full": _relative_variance(full_ND),
    }


def diagnose_weights(model: nn.Module, step: TrainStep, data: Dataset) -> dict[str, float]:
    """Histograms of the weights of right and of wrong labels (the paper's Figure 5).

    Returns:
        `weights/right/0.3`: share of the correctly labelled training examples with a weight in
        [0.3, 0.4), and so on for ten bins; `weights/right/mean`: their mean weight;
        `weights/wrong/...`: the same for wrongly labelled examples. Empty for a method without
        weights, and where no true labels are known.
    """
    weights_N = judge(model, data, step.head).weights_N
    truth = data.train.true_labels.cpu().numpy()
    labels = data.train.labels.cpu().numpy()
    found: dict[str, float] = {}
    for name, chosen in (("right", truth == labels), ("wrong", truth != labels)):
        some = weights_N[chosen & (truth >= 0) & np.isfinite(weights_N)]
        if not len(some):
            continue
        counts, edges = np.histogram(some, bins=BINS, range=(0, 1))
        shares = zip(edges, counts / len(some), strict=False)
        found |= {f"weights/{name}/{edge:.1f}": float(share) for edge, share in shares}
        found[f"weights/{name}/mean"] = float(some.mean())
    return found


def _meta_gradient(
    step: MetaStep,
    model: nn.Module,
    optimiser: torch.optim.Optimizer,
    pair: tuple[Batch, Batch | None],
) -> Tensor:
    train, meta = pair
    judges = meta if step.cross_fit is None else step.cross_fit
    assert judges is not None, "the loop gives a meta batch to every step that needs one"
    grads = step.look_ahead(model, optimiser, train, judges).head_grads
    return torch.cat([grad.detach().flatten() for grad in grads.values()])


def _relative_variance(gradients_ND: Tensor) -> float:
    spread = (gradients_ND - gradients_ND.mean(dim=0)).square().sum()
    return float(spread / gradients_ND.square().sum())
