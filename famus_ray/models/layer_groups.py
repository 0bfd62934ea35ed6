"""Layer groups: the pieces of a network that one gate opens or closes (Eq. 7).

Groups follow the order in which the network defines its layers, so "from here on" has
a meaning: the groups from `gated_from` to the end are the gated tail.
"""

from __future__ import annotations

import re
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from typing import Literal, get_args

from torch import nn

__all__ = ["Grouping", "LayerGroup", "LayerGroups", "layer_groups"]

Grouping = Literal["tensor", "layer", "block", "stage"]

_WEIGHT_MODULES = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, nn.Embedding, nn.Bilinear)


@dataclass(frozen=True)
class LayerGroup:
    """A name and the parameters under it, by their names in `model.named_parameters()`."""

    name: str
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class LayerGroups:
    """A network's trainable parameters, cut into groups; the gated tail comes last.

    Attributes:
        trunk: groups below the tail, never gated and never a path of the meta gradient.
        gated: the groups of the tail, G of them, one gate each.
        last_layer: gated parameters of the last layer (the classifier), for L_g (Eq. 11).
    """

    trunk: tuple[LayerGroup, ...]
    gated: tuple[LayerGroup, ...]
    last_layer: tuple[str, ...]

    @property
    def gated_parameters(self) -> tuple[str, ...]:
        return tuple(name for group in self.gated for name in group.parameters)


def layer_groups(
    model: nn.Module, grouping: Grouping | Sequence[str] = "layer", gated_from: str = "all"
) -> LayerGroups:
    """The network's layer groups under `grouping`, gated from `gated_from` on.

    Args:
        grouping: `tensor` is one group a parameter tensor (the released code); `layer` a
            convolution or linear layer with its norm; `block` an element of the outermost
            sequence (`layer1.0`, `blocks.3`); `stage` a top-level child of the network. A
            sequence of regular expressions makes one group of each, of the parameters in whose
            names it is found and no earlier one is; they alone are gated.
        gated_from: `all` gates every group; `last_stage` and `last_block` those from the last
            stage or block on that has several convolutions or linear layers, the classifier
            aside (layer4, layer4.1 of a ResNet-18); anything else is the beginning of a group's
            or parameter's name.

    Raises:
        ValueError: an unknown grouping, a `gated_from` that no parameter begins with, or an
            expression that is malformed or finds nothing.
    """
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    if not names:
        raise ValueError("the network has no trainable parameter")
    if not isinstance(grouping, str):
        return _by_patterns(names, grouping)
    if grouping not in get_args(Grouping):
        raise ValueError(f"grouping = {grouping!r}: must be one of {', '.join(get_args(Grouping))}")
    stage = _stage_namer(model, names)
    keys = {
        "tensor": lambda name: name,
        "layer": _layer_namer(model),
        "block": _block_of,
        "stage": stage,
    }
    filters = [name for name, p in model.named_parameters() if p.requires_grad and p.dim() > 1]
    pieces = {"last_stage": stage, "last_block": _block_of}
    first = _first_gated(names, filters, gated_from, pieces)
    last_layer = tuple(n for n in names[first:] if _module_of(n) == _module_of(names[-1]))
    return LayerGroups(
        trunk=_collect(names[:first], keys[grouping]),
        gated=_collect(names[first:], keys[grouping]),
        last_layer=last_layer,
    )


def _collect(names: list[str], key: Callable[[str], str]) -> tuple[LayerGroup, ...]:
    groups: dict[str, list[str]] = {}
    for name in names:
        groups.setdefault(key(name), []).append(name)
    return tuple(LayerGroup(name, tuple(members)) for name, members in groups.items())


def _by_patterns(names: list[str], patterns: Sequence[str]) -> LayerGroups:
    if not patterns:
        raise ValueError("patterns: none given, so nothing would be gated")
    left, gated = list(names), []
    for pattern in patterns:
        try:
            found = [name for name in left if re.search(pattern, name)]
        except re.error as error:
            raise ValueError(f"patterns: {pattern!r} is no regular expression ({error})") from error
        if not found:
            raise ValueError(
                f"patterns: {pattern!r} finds no parameter (that no earlier one found); "
                f"there are {', '.join(left[:3])}, …"
            )
        gated.append(LayerGroup(pattern, tuple(found)))
        left = [name for name in left if name not in found]
    last = {name for name in names if _module_of(name) == _module_of(names[-1])}
    return LayerGroups(
        trunk=_collect(left, _module_of),
        gated=tuple(gated),
        last_layer=tuple(name for group in gated for name in group.parameters if name in last),
    )


def _first_gated(
    names: list[str],
    filters: list[str],
    gated_from: str,
    pieces: Mapping[str, Callable[[str], str]],
) -> int:
    if gated_from == "all":
        return 0
    if gated_from in pieces:
        piece = pieces[gated_from]
        classifier = piece(names[-1])
        below = [piece(name) for name in filters if piece(name) != classifier]
        deep = [s for s in below if below.count(s) > 1]
        start = deep[-1] if deep else classifier
        return next(i for i, name in enumerate(names) if piece(name) == start)
    for i, name in enumerate(names):
        if name == gated_from or name.startswith(gated_from.rstrip(".") + "."):
            return i
    tops = dict.fromkeys(name.split(".")[0] for name in names)
    raise ValueError(
        f"gated_from = {gated_from!r}: no parameter begins so; "
        f"try all, last_stage, last_block or one of {', '.join(tops)}"
    )


def _module_of(parameter: str) -> str:
    return parameter.rpartition(".")[0]


def _block_of(parameter: str) -> str:
    parts = _module_of(parameter).split(".")
    for i, part in enumerate(parts):
        if part.isdigit():
            nested = i + 1 < len(parts) and parts[i + 1].isdigit()
            return ".".join(parts[: i + 2 if nested else i + 1])
    return parts[0] or parameter


def _stage_namer(model: nn.Module, names: list[str]) -> Callable[[str], str]:
    """Top-level children; a child that is a sequence holding most of the network
    (`features`, `blocks`) is cut into its elements."""
    tops = [name.split(".")[0] for name in names]

    def stage(parameter: str) -> str:
        top, *rest = parameter.split(".")
        child = getattr(model, top, None)
        crowded = tops.count(top) > 0.8 * len(tops)
        if crowded and isinstance(child, nn.Sequential | nn.ModuleList) and len(rest) > 1:
            return f"{top}.{rest[0]}"
        return top

    return stage


def _layer_namer(model: nn.Module) -> Callable[[str], str]:
    """Each norm joins the weight layer before it in definition order, or the one after
    it where its parent defines a norm first (pre-activation blocks)."""
    owners: dict[str, str] = {}
    norm_first: dict[str, bool] = {}
    waiting: list[str] = []
    previous = ""
    for name, module in model.named_modules():
        if not any(p.requires_grad for p in module.parameters(recurse=False)):
            continue
        parent = _module_of(name)
        is_weight_layer = isinstance(module, _WEIGHT_MODULES) or any(
            p.dim() > 1 for p in module.parameters(recurse=False)
        )
        joins_next = norm_first.setdefault(parent, not is_weight_layer)
        if is_weight_layer:
            owners.update(dict.fromkeys(waiting, name))
            owners[name] = previous = name
            waiting = []
        elif joins_next or not previous:
            waiting.append(name)
        else:
            owners[name] = previous
    owners.update(dict.fromkeys(waiting, previous or "norm"))
    return lambda parameter: owners[_module_of(parameter)] or parameter
