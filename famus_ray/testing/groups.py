"""A check of the contract of layer groupings."""

from __future__ import annotations

from collections import Counter

from torch import nn

from famus_ray.models.layer_groups import LayerGroups

__all__ = ["check_groups"]


def check_groups(groups: LayerGroups, model: nn.Module) -> None:
    """Checks that groups cover a network's trainable parameters.

    Every parameter must be in exactly one group, and at least one group must be gated. Names of
    gated groups must be distinct: curves are named by them.
    """
    trainable = {name for name, p in model.named_parameters() if p.requires_grad}
    places = Counter(name for group in (*groups.trunk, *groups.gated) for name in group.parameters)
    unknown = places.keys() - trainable
    assert not unknown, f"in a group, and no trainable parameter: {', '.join(sorted(unknown))}"
    missing = trainable - places.keys()
    assert not missing, f"in no group: {', '.join(sorted(missing))}"
    twice = [name for name, count in places.items() if count > 1]
    assert not twice, f"in several groups: {', '.join(twice)}"
    assert groups.gated, "no group is gated, so that nothing is learned"
    names = Counter(group.name for group in groups.gated)
    same = [name for name, count in names.items() if count > 1]
    assert not same, f"several gated groups have one name: {', '.join(same)}"
    assert all(group.parameters for group in groups.gated), "a gated group without a parameter"
    outside = {*groups.last_layer} - {*groups.gated_parameters}
    assert not outside, f"of the last layer, and not gated: {', '.join(sorted(outside))}"
