"""CLID-MU (Hu et al. 2025): example weights learned without any clean label.

Where labels are right, examples that are alike to the last hidden layer are alike to the
classifier. So the meta loss compares two graphs of similarities, of features and of class
probabilities, over a batch whose labels nobody looks at: here the train batch itself.
"""

# Shapes: B examples of this process, C classes, F features.
from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager
from typing import Any

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from famus_ray.config.schema import Config
from famus_ray.meta.collective import world_size
from famus_ray.meta.gradient import Batch
from famus_ray.meta.step import MetaStep
from famus_ray.methods import mwnet

__all__ = ["ClidMuStep", "CrossLayerDivergence", "build", "graph_divergence", "similarity_graph"]


def build(config: Config, model: nn.Module, gate_noise: torch.Generator) -> ClidMuStep:
    """The step of CLID-MU: MW-Net's weights and layers under a meta loss without labels."""
    return ClidMuStep(mwnet.build(config, model, gate_noise), config.method.graph_temperature)


def similarity_graph(rows_BF: Tensor, temperature: float) -> Tensor:
    """Logarithms (B, B) of the edges: each row a softmax, over all other examples, of cosines
    over the temperature; -inf on the diagonal, as nobody is a neighbour of itself."""
    unit_BF = F.normalize(rows_BF, dim=1)
    cosines_BB = unit_BF @ unit_BF.T / temperature
    itself_BB = torch.eye(len(rows_BF), dtype=torch.bool, device=rows_BF.device)
    return torch.log_softmax(cosines_BB.masked_fill(itself_BB, -torch.inf), dim=1)


def graph_divergence(features_BF: Tensor, probabilities_BC: Tensor, temperature: float) -> Tensor:
    """Mean over the examples of KL(feature graph || probability graph), a scalar in nats.

    The features are a constant: only what the classifier makes of them is judged.
    """
    wanted_BB = similarity_graph(features_BF.detach(), temperature)
    found_BB = similarity_graph(probabilities_BC, temperature)
    others_BB = torch.isfinite(wanted_BB)
    gaps_BB = (wanted_BB - found_BB).masked_fill(~others_BB, 0.0)
    return (wanted_BB.exp() * gaps_BB).sum(dim=1).mean()


class CrossLayerDivergence:
    """The meta loss: `graph_divergence` of one process's meta batch, its share of the mean.

    Features are the classifier's inputs in the latest forward, which is the one at the
    virtual weights; targets are not used.
    """

    def __init__(self, temperature: float) -> None:
        self.temperature = temperature
        self.features: Tensor | None = None

    def __call__(self, logits_BC: Tensor, targets: Tensor) -> Tensor:
        assert self.features is not None, "a forward under `watching` comes first"
        features_BF = self.features.flatten(1)
        probabilities_BC = torch.softmax(logits_BC, dim=1)
        return graph_divergence(features_BF, probabilities_BC, self.temperature) / world_size()

    @contextmanager
    def watching(self, classifier: nn.Module) -> Iterator[None]:
        """Inside, the classifier's inputs are kept."""

        def keep(module: nn.Module, inputs: tuple[Tensor, ...]) -> None:
            self.features = inputs[0].detach()

        hook = classifier.register_forward_pre_hook(keep)
        try:
            yield
        finally:
            hook.remove()
            self.features = None


class ClidMuStep:
    """A meta step whose meta batch is the train batch without its labels."""

    needs_meta_batch = False

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
            return self.step(model, optimiser, train, train)

    def state_dict(self) -> dict[str, Any]:
        return self.step.state_dict()

    def load_state_dict(self, state: Mapping[str, Any]) -> None:
        self.step.load_state_dict(state)
