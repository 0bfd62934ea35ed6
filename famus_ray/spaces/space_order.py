"""The order in which the settings of a search space get values: dependencies first."""

from __future__ import annotations

from collections.abc import Mapping

from famus_ray.spaces.ranges import Derived, Range

__all__ = ["dependencies_first", "in_a_circle"]


def dependencies_first(space: Mapping[str, Range]) -> list[str]:
    """The names, each after those it depends on; empty if dependencies form a cycle."""
    order: list[str] = []
    while ready := [n for n in space if n not in order and _needs(space[n], space) <= {*order}]:
        order += ready
    return order if len(order) == len(space) else []


def in_a_circle(space: Mapping[str, Range]) -> list[str]:
    """The names on a cycle of dependencies, or depending on one."""
    left = list(space)
    while free := [n for n in left if not _needs(space[n], space) & {*left}]:
        left = [n for n in left if n not in free]
    return left


def _needs(entry: Range, space: Mapping[str, Range]) -> set[str]:
    """The other entries that need a value before this one."""
    needs = {*entry.when, *([entry.of] if isinstance(entry, Derived) else [])}
    return needs & {*space}
