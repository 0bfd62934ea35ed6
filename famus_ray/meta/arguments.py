"""Checks of the arguments of `meta_gradient`: a mistake is reported by the argument's name."""

# Shapes: B examples, C classes, G gated layer groups.

from __future__ import annotations

import math
from collections.abc import Iterable, Sequence
from typing import Any

import torch
from torch import Tensor, nn

from famus_ray.meta.cross_fit import CrossFit
from famus_ray.models.layer_groups import LayerGroups

__all__ = [
    "check_batch",
    "check_gates",
    "check_groups",
    "check_head",
    "check_logits",
    "check_loss",
    "check_meta_loss",
    "check_rate",
    "check_theta",
    "check_unused",
]


def check_batch(name: str, batch: Any) -> None:
    """Raises ValueError unless the batch is a pair of tensors (inputs, targets), not empty."""
    pair = f"{name}: must be a pair (inputs, targets)"
    if name == "meta_batch":
        pair += ", or CrossFit(), which takes it from the train batch"
    if not isinstance(batch, tuple | list) or len(batch) != 2:
        raise ValueError(f"{pair}, not {_kind(batch)}")
    inputs, targets = batch
    if not isinstance(inputs, Tensor) or not isinstance(targets, Tensor):
        raise ValueError(
            f"{pair} of one tensor each, not {_kind(inputs)} and {_kind(targets)}; wrap a network "
            "of several inputs in one that takes them apart"
        )
    if not len(inputs) or not len(targets):
        raise ValueError(f"{name}: is empty")


def check_groups(model: nn.Module, groups: Any) -> None:
    """Raises ValueError unless these are groups of the network's trainable parameters."""
    if not isinstance(groups, LayerGroups):
        raise ValueError(f"groups: must come from layer_groups(model, ...), not {_kind(groups)}")
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    unknown = [name for name in groups.gated_parameters if name not in trainable]
    if unknown:
        raise ValueError(
            f"groups: {unknown[0]} is no trainable parameter of this network; make the groups "
            "after parameters are frozen, from the network itself"
        )


def check_gates(gates: Any) -> None:
    """Raises ValueError unless `gates` can be called to draw gates."""
    if not callable(gates):
        raise ValueError(f"gates: must draw gates, as FixedGates(...) does, not be {_kind(gates)}")


def check_meta_loss(meta_batch: Any, is_default: bool) -> None:
    """Raises ValueError where a meta loss is given together with `CrossFit`, which has its own."""
    if isinstance(meta_batch, CrossFit) and not is_default:
        raise ValueError("meta_loss: CrossFit() judges by a loss of its own; leave it out")


def check_logits(logits: Any) -> None:
    """Raises ValueError unless the network returned a tensor that depends on its parameters."""
    if not isinstance(logits, Tensor):
        raise ValueError(f"model: must give a tensor of logits, not {_kind(logits)}; wrap it")
    if not logits.requires_grad:
        raise ValueError("model: no trainable parameter has a part in its logits")


def check_loss(whose: str, loss: Any) -> None:
    """Raises ValueError unless the head or the meta loss returned a differentiable scalar."""
    if not isinstance(loss, Tensor) or loss.dim():
        shape = f" of shape {tuple(loss.shape)}" if isinstance(loss, Tensor) else ""
        raise ValueError(f"{whose}: must give the loss as one number, not {_kind(loss)}{shape}")
    if not loss.requires_grad:
        raise ValueError(f"{whose}: the loss, or the logits that it is of, are detached")


def check_rate(lookahead_lr: Any) -> None:
    """Raises ValueError for a negative or infinite rate, or where gradients are switched off."""
    if not torch.is_grad_enabled():
        raise ValueError("gradients are switched off here: leave torch.no_grad or inference_mode")
    if isinstance(lookahead_lr, int | float) and not 0 <= lookahead_lr < math.inf:
        raise ValueError(f"lookahead_lr = {lookahead_lr}: must be a number from 0 on")


def check_theta(grads: Sequence[Tensor | None]) -> None:
    """Raises ValueError where the loss depends on no parameter of the head."""
    if grads and all(grad is None for grad in grads):
        raise ValueError(
            "head: how its loss depends on the logits does not depend on its parameters; detach "
            "the logits that they read, not what they give"
        )


def check_unused(names: Iterable[str], grads: Sequence[Tensor | None]) -> None:
    """Raises ValueError where the meta loss depends on parameters that were replaced for it."""
    for name, grad in zip(names, grads, strict=True):
        if grad is not None:
            raise ValueError(
                f"model: its forward reads {name} from somewhere else than its module, such as a "
                "list, a closure or a view made earlier, where no virtual step can be put in its "
                "place; read the module's own attribute in forward"
            )


def check_head(names: Iterable[str], grads: Sequence[Tensor | None]) -> None:
    """Raises ValueError where the head's loss reads parameters of the network directly."""
    for name, grad in zip(names, grads, strict=True):
        if grad is not None:
            raise ValueError(
                f"head: its loss reads {name} of the network, and only the logits are seen here; "
                "engine='double_backward' sees both"
            )


def _kind(value: Any) -> str:
    if isinstance(value, type):
        return f"the class {value.__name__}"
    return "None" if value is None else f"a {type(value).__name__}"
