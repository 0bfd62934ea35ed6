"""The network with other tensors in place of some of its own, for a while."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

__all__ = ["copies", "replaced"]


@contextmanager
def replaced(model: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside, parameters and buffers are replaced by `tensors`, by name.

    A backward belongs inside, too: with gradient checkpointing it calls parts of the network
    again. A tensor that stands in several places (tied weights, a module under two names) is
    replaced in all of them; afterwards every place holds what it held.
    (`torch.func.functional_call` leaves plain tensors behind in a module that is registered
    twice.)
    """
    own = {**dict(model.named_parameters()), **dict(model.named_buffers())}
    by_identity = {id(own[name]): tensor for name, tensor in tensors.items()}
    places = [
        (slots, key, tensor)
        for module in model.modules()
        for slots in (module._parameters, module._buffers)
        for key, tensor in slots.items()
        if id(tensor) in by_identity
    ]
    try:
        for slots, key, tensor in places:
            slots[key] = by_identity[id(tensor)]  # type: ignore[assignment]
        yield
    finally:
        for slots, key, tensor in places:
            slots[key] = tensor  # type: ignore[assignment]


def copies(tensors: Mapping[str, Tensor]) -> dict[str, Tensor]:
    """A copy of each, which a forward may change."""
    return {name: tensor.clone() for name, tensor in tensors.items()}
