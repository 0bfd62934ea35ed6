"""A network with some of its parameters and buffers replaced for the length of a context."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

__all__ = ["copies", "replaced"]


@contextmanager
def replaced(model: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
    """Inside, parameters and buffers are replaced by `tensors`, by name.

    A backward must run inside, too: with gradient checkpointing it calls parts of the network
    again. A tensor with several names (tied weights, a module registered twice) is replaced under
    all of them; afterwards every name has its own tensor again.
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
    """Copies by name, which a forward may change."""
    return {name: tensor.clone() for name, tensor in tensors.items()}
