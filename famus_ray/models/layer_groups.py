"""Layer groups: the parts of a network that have one gate each (Eq. 7).

Groups are in the order in which the network defines its layers. Those from `gated_from` to the
end are the gated tail.
"""

# Shapes: G gated layer groups.
from __future__ import annotations

import re
from collections.abc import Callable, Sequence
from dataclasses import dataclass
from functools import partial
from typing import get_args

from torch import nn

from famus_ray.choices import Grouping

__all__ = ["LayerGroup", "LayerGroups", "layer_groups"]

_MOST = 0.8  # a module with more than this share of all tensors is a wrapper or body, not a stage
_WEIGHT_MODULES = (nn.Conv1d, nn.Conv2d, nn.Conv3d, nn.Linear, nn.Embedding, nn.Bilinear)


@dataclass(frozen=True)
class LayerGroup:
    """A named group of parameters, given by their names in `model.named_parameters()`."""

    name: str
    parameters: tuple[str, ...]


@dataclass(frozen=True)
class LayerGroups:
    """A network's trainable parameters in groups.

    Attributes:
        trunk: groups below the tail, without gates; the meta gradient does not pass through them.
        gated: the G groups of the tail, with one gate each.
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
    """The network's layer groups, gated from `gated_from` on.

    Args:
        model: the network.
        grouping: size of a group. `tensor`: one parameter tensor (the released code); `layer`: a
            convolution or linear layer with its norm; `block`: an element of the outermost
            sequence (`layer1.0`, `blocks.3`); `stage`: a top-level child of the network. With a
            sequence of regular expressions, each makes a group of the parameters whose names it
            matches and no earlier one does; only these groups are gated.
        gated_from: first gated group. `all`: every group is gated; `last_stage`, `last_block`:
            the last stage or block with several convolutions or linear layers, not counting the
            classifier (layer4, layer4.1 of a ResNet-18); otherwise the beginning of a group's or
            parameter's name.

    Raises:
        ValueError: an unknown grouping, a `gated_from` that no parameter's name begins with, or a
            regular expression that is malformed or matches nothing.
    """
    names = [name for name, p in model.named_parameters() if p.requires_grad]
    if not names:
        raise ValueError("the network has no trainable parameter")
    if not isinstance(grouping, str):
        return _by_patterns(names, grouping)
    if grouping not in get_args(Grouping):
        raise ValueError(f"grouping = {grouping!r}: must be one of {', '.join(get_args(Grouping))}")
    body = _body(names)
    keys: dict[str, Callable[[str], str]] = {
        "tensor": lambda name: name,
        "layer": _layer_namer(model),
        "block": partial(_block_of, body),
        "stage": partial(_stage_of, body),
    }
    filters = [name for name, p in model.named_parameters() if p.requires_grad and p.dim() > 1]
    first = _first_gated(names, filters, gated_from, body)
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


def _first_gated(names: list[str], filters: list[str], gated_from: str, body: list[str]) -> int:
    if gated_from == "all":
        return 0
    pieces = {"last_stage": partial(_stage_of, body), "last_block": partial(_block_of, body)}
    if gated_from in pieces:
        piece = pieces[gated_from]
        classifier = piece(names[-1])
        if body and classifier.rpartition(".")[2].isdigit():
            classifier = ""  # tied to the embedding: the last parameters are a block's
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


def _body(names: list[str]) -> list[str]:
    """The path to the module whose children are the stages.

    It leads through every module that holds most of the network, such as `features`, `blocks`,
    or the `backbone` of a wrapper.
    """
    paths = [_module_of(name).split(".") for name in names]
    body: list[str] = []
    while True:
        inside = [path for path in paths if path[: len(body)] == body and len(path) > len(body)]
        children = [path[len(body)] for path in inside if len(path) > len(body) + 1]
        most = max(children, key=children.count, default="")
        if children.count(most) <= _MOST * len(names):
            return body
        body.append(most)


def _stage_of(body: list[str], parameter: str) -> str:
    """The stage of a parameter: its child of the body, or of a module around the body."""
    path = _module_of(parameter).split(".")
    return ".".join(path[: _shared(body, path) + 1]) or parameter


def _block_of(body: list[str], parameter: str) -> str:
    """The block of a parameter: its element of a sequence in the body, else its stage."""
    path = _module_of(parameter).split(".")
    shared = _shared(body, path)
    for i, part in enumerate(path):
        if i >= shared and part.isdigit():
            nested = i + 1 < len(path) and path[i + 1].isdigit()
            return ".".join(path[: i + 2 if nested else i + 1])
    return _stage_of(body, parameter)


def _shared(body: list[str], path: list[str]) -> int:
    """The length of the common beginning of a path and the path to the body."""
    return sum(path[:i] == body[:i] for i in range(1, len(body) + 1))


def _layer_namer(model: nn.Module) -> Callable[[str], str]:
    """A function from a parameter's name to its layer's name.

    A norm joins the weight layer that is defined before it, or the one after it if its parent
    defines a norm first (pre-activation blocks).
    """
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
