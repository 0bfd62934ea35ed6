"""Gates: which layer groups the meta gradient is taken from (Eq. 7-10).

Gate l reads the average-pooled train gradient of its layer group and draws r_l in {0, 1}
by a straight-through Gumbel-softmax.
"""

# Shapes: G gated layer groups; P pooled values of one group, the sum over its tensors of
# their first dimension.
from __future__ import annotations

from collections.abc import Mapping, Sequence
from typing import Protocol

import torch
from torch import Tensor, nn

from famus_ray.meta.variations import PAPER, Variations
from famus_ray.models.layer_groups import LayerGroup

__all__ = [
    "FixedGates",
    "GateSampler",
    "LearnedGates",
    "RandomGates",
    "pooled_size",
    "sparsity_loss",
]


class GateSampler(Protocol):
    """Draws the gates of one iteration from the train gradients of the gated groups."""

    def __call__(self, groups: Sequence[LayerGroup], grads: Mapping[str, Tensor]) -> Tensor:
        """Gates (G,), each 0 or 1, differentiable in the sampler's own parameters."""
        ...


class FixedGates:
    """Gates that are given: `FixedGates(torch.ones(G))` opens all, which is MW-Net.

    Args:
        gates_G: 0 or 1 for each gated group.
    """

    def __init__(self, gates_G: Tensor | Sequence[float]) -> None:
        self.gates_G = torch.as_tensor(gates_G)

    def __call__(self, groups: Sequence[LayerGroup], grads: Mapping[str, Tensor]) -> Tensor:
        return self.gates_G.to(next(iter(grads.values())).dtype)


class RandomGates:
    """Opens `count` gates, drawn anew in each step (Table 4's random sampler).

    Args:
        count: number of open gates.
        device: device of the gates.
        generator: on `device`, with the same seed on every process.
    """

    def __init__(self, count: int, device: torch.device, generator: torch.Generator) -> None:
        self.count = count
        self.device = device
        self.generator = generator

    def __call__(self, groups: Sequence[LayerGroup], grads: Mapping[str, Tensor]) -> Tensor:
        order_G = torch.rand(len(groups), device=self.device, generator=self.generator).argsort()
        dtype = next(iter(grads.values())).dtype
        return (order_G.argsort() < self.count).to(dtype)


class LearnedGates(nn.Module):
    """Gates drawn by one small network per gate from the pooled gradient (Section 4.2).

    A network has two fully connected layers with PReLU in between (three in the released code).
    `generator` has the same seed on every process, so gates need no communication. Gradients
    are detached first: the meta loss does not reach theta through a gate.

    Args:
        groups: the gated groups.
        shapes: shape of every parameter in them, by name.
        hidden: units between the layers.
        temperature: of the Gumbel-softmax; 5 in the paper.
        variations: depth of the networks and pooling; the paper pools by the mean over all but
            the first dimension.
        always_open: names of parameters; the gate of a group that holds no others stays open.
        generator: source of the Gumbel noise, on the parameters' device.
    """

    def __init__(
        self,
        groups: Sequence[LayerGroup],
        shapes: Mapping[str, torch.Size],
        *,
        hidden: int = 128,
        temperature: float = 5.0,
        variations: Variations = PAPER,
        always_open: Sequence[str] = (),
        generator: torch.Generator | None = None,
    ) -> None:
        super().__init__()
        self.temperature = temperature
        self.variations = variations
        self.generator = generator
        unknown = [name for group in groups for name in group.parameters if name not in shapes]
        if unknown:
            raise ValueError(f"shapes: has no {unknown[0]}; give those of all parameters, by name")
        self.networks = nn.ModuleList(
            _gate_network(pooled_size(group, shapes), hidden, deep=variations.deep_gates)
            for group in groups
        )
        kept_open = [bool(set(group.parameters) <= set(always_open)) for group in groups]
        # The released code's L_r sees this gate alone: its append stands outside the loop.
        learned = [i for i, is_kept in enumerate(kept_open) if not is_kept]
        self.last_learned = learned[-1] if learned else len(kept_open) - 1
        self.always_open_G: Tensor
        self.register_buffer("always_open_G", torch.tensor(kept_open), persistent=False)

    def forward(self, groups: Sequence[LayerGroup], grads: Mapping[str, Tensor]) -> Tensor:
        """Gates (G,), each 0 or 1, with the gradient of the Gumbel-softmax (straight through).

        Args:
            groups: the groups given to the constructor, in that order.
            grads: train gradient of each of their parameters, by name.
        """
        logits = [
            network(self._pooled(group, grads))
            for network, group in zip(self.networks, groups, strict=True)
        ]
        logits_G2 = torch.stack(logits)
        noise = torch.empty_like(logits_G2).exponential_(generator=self.generator).log().neg()
        soft_G = torch.softmax((logits_G2 + noise) / self.temperature, dim=1)[:, 1]
        hard_G = (soft_G > 0.5).to(soft_G.dtype)
        gates_G = hard_G + (soft_G - soft_G.detach())  # straight-through, exactly 0 or 1
        return torch.where(self.always_open_G, torch.ones_like(gates_G), gates_G)

    def _pooled(self, group: LayerGroup, grads: Mapping[str, Tensor]) -> Tensor:
        tensors = [grads[name].detach() for name in group.parameters]
        sums = [_row_sums(tensor) for tensor in tensors]
        if not self.variations.standardised_input:
            return torch.cat([s * (len(s) / t.numel()) for s, t in zip(sums, tensors, strict=True)])
        pooled_P = torch.cat(sums)
        return (pooled_P - pooled_P.mean()) / (pooled_P.std() + 1e-8)


def sparsity_loss(gates_G: Tensor, expected_open: float) -> Tensor:
    """L_r = (sum of gates - K)^2 (Eq. 10), a scalar."""
    return (gates_G.sum() - expected_open) ** 2


def pooled_size(group: LayerGroup, shapes: Mapping[str, torch.Size]) -> int:
    """Length of a group's pooled gradient: the sum of its tensors' first dimensions."""
    return sum(_rows(shapes[name]) for name in group.parameters)


def _row_sums(tensor: Tensor) -> Tensor:
    """Sums over all but the first dimension; copies nothing, whatever the memory format."""
    return tensor.reshape(-1) if tensor.dim() < 2 else tensor.sum(dim=tuple(range(1, tensor.dim())))


def _rows(shape: torch.Size) -> int:
    return shape[0] if shape else 1


def _gate_network(inputs: int, hidden: int, *, deep: bool) -> nn.Module:
    if deep:
        return nn.Sequential(
            nn.Linear(inputs, hidden),
            nn.PReLU(),
            nn.Linear(hidden, hidden),
            nn.PReLU(),
            nn.Linear(hidden, 2),
        )
    return nn.Sequential(nn.Linear(inputs, hidden), nn.PReLU(), nn.Linear(hidden, 2))
