"""The network with other tensors in place of some of its own, for one call."""

from __future__ import annotations

from collections.abc import Iterator, Mapping
from contextlib import contextmanager

from torch import Tensor, nn

__all__ = ["call_with"]


def call_with(model: nn.Module, tensors: Mapping[str, Tensor], inputs: Tensor) -> Tensor:
    """Logits of `inputs` with parameters and buffers replaced by `tensors`, by name.

    A tensor that stands in several places (tied weights, a module under two names) is replaced
    in all of them; afterwards every place holds what it held. (`torch.func.functional_call`
    leaves plain tensors behind in a module that is registered twice.)
    """
    with _replaced(model, tensors):
        logits: Tensor = model(inputs)
    return logits


@contextmanager
def _replaced(model: nn.Module, tensors: Mapping[str, Tensor]) -> Iterator[None]:
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
