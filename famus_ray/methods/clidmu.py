"""CLID-MU (Hu et al. 2025): example weights learned without any clean label.

With right labels, examples that are similar in the last hidden layer are similar in the
classifier's output. So the meta loss compares two similarity graphs, of features and of class
probabilities, over a batch of training examples. It uses no labels.
"""

# Shapes: B examples of this process, N of all processes, C classes, F features.
from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from famus_ray.batch import Batch
from famus_ray.distributed import global_sum, rank, world_size
from famus_ray.meta.step import MetaStep
from famus_ray.methods import mwnet
from famus_ray.methods.step_settings import StepSettings

__all__ = ["ClidMuStep", "CrossLayerDivergence", "build", "cross_layer_divergence"]


def build(model: nn.Module, settings: StepSettings) -> ClidMuStep:
    """The step of CLID-MU: MW-Net's weights and layers under a meta loss without labels."""
    return ClidMuStep(mwnet.build(model, settings), settings.method.graph_temperature)


def cross_layer_divergence(
    features_BF: Tensor, probabilities_BC: Tensor, temperature: float
) -> Tensor:
    """The cross-entropy between the two similarity graphs, summed over this process's examples.

    A scalar in nats. The neighbours j of example i come from all processes. Their weights are
    cos(p_i, p_j) / sum_k cos(p_i, p_k) in the classifier's output, and the softmax over j of
    max(cos(f_i, f_j), 0) / temperature in the last hidden layer. As in the authors' code,
    features and the sums over k are constants: the gradient separates in p, pair by pair, the
    examples that are far apart in f.

    Args:
        features_BF: inputs of the classifier.
        probabilities_BC: class probabilities.
        temperature: above 0, of the softmax over features.
    """
    unit_NF = _of_all_processes(F.normalize(features_BF.detach(), dim=1))
    unit_NC = _of_all_processes(F.normalize(probabilities_BC, dim=1))
    own = slice(rank() * len(features_BF), (rank() + 1) * len(features_BF))
    near_BN = (unit_NF[own] @ unit_NF.T).clamp_min(0) / temperature
    alike_BN = unit_NC[own] @ unit_NC.T
    shares_BN = alike_BN / alike_BN.sum(dim=1, keepdim=True).detach()
    return -(shares_BN * torch.log_softmax(near_BN, dim=1)).sum()


class CrossLayerDivergence:
    """The meta loss: this process's share of the mean `cross_layer_divergence` of the meta batch.

    Features are the classifier's inputs in the latest forward, the one at the virtual weights;
    targets are not used.
    """

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature
        self.features: Tensor | None = None

    def __call__(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        assert self.features is not None, "a forward under `watching` comes first"
        features_BF = self.features.flatten(1)
        probabilities_BC = torch.softmax(logits_BC, dim=1)
        found = cross_layer_divergence(features_BF, probabilities_BC, self.temperature)
        return found / (len(logits_BC) * world_size())

    @contextmanager
    def watching(self, classifier: nn.Module) -> Iterator[None]:
        """Inside, the inputs of the classifier are stored as features."""

        def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self.features = inputs[0].detach()

        hook = classifier.register_forward_pre_hook(keep)
        try:
            yield
        finally:
            hook.remove()
            self.features = None


class ClidMuStep:
    """A meta step whose meta batch comes from the training set, without its labels."""

    needs_meta_batch = True

    def __init__(self, step: MetaStep, temperature: float) -> None:
        self.step = step
        self.head = step.head
        self.divergence = CrossLayerDivergence(temperature)
        step.meta_loss = self.divergence

    def __call__(
        self, model: nn.Module, optimiser: torch.optim.Optimizer, train: Batch, meta: Batch | None
    ) -> dict[str, Tensor]:
        name = self.step.groups.last_layer[0].rpartition(".")[0]
        with self.divergence.watching(model.get_submodule(name)):
            return self.step(model, optimiser, train, meta)

    def state_dict(self) -> dict[str, Any]:
        return self.step.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.step.load_state_dict(state)


def _of_all_processes(rows_BF: Tensor) -> Tensor:
    """The rows (N, F) of all processes, in their order, differentiable."""
    before, after = rank() * len(rows_BF), (world_size() - 1 - rank()) * len(rows_BF)
    return global_sum(F.pad(rows_BF, (0, 0, before, after)))
