"""Which methods read which settings: searching a setting that no trial reads is useless."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from famus_ray.config.methods import method_named, names_of
from famus_ray.spaces.ranges import Choice, Constant, Range, Searched, listed

__all__ = ["methods_tried", "readers", "unread"]


def readers(name: str) -> tuple[str, ...] | None:
    """The methods that read a setting, for some values of the others; None if all methods do."""
    return tuple(names_of(lambda method: name in method.reads)) or None


def unread(entries: Mapping[str, Range], method: str) -> Iterator[str]:
    """Messages on searched settings that no method of the trials reads.

    Args:
        entries: of the space, by setting.
        method: of the config that every trial starts from.
    """
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for name, entry in entries.items():
        wanted = listed(entry.when["method.name"]) if "method.name" in entry.when else None
        tried = tuple(m for m in methods_tried(entries, method) if wanted is None or m in wanted)
        known = readers(name)
        if not isinstance(entry, Searched) or known is None or not tried:
            continue
        if not any(name in method_named(method).reads for method in tried):
            found.setdefault((tried, known), []).append(name)
    for (tried, known), names in found.items():
        what = "method" if len(tried) == 1 else "methods"
        verb = "reads" if len(tried) == 1 else "read"
        yield (
            f"{', '.join(names)}: no setting that {what} {', '.join(tried)} {verb}; for "
            f"{', '.join(known)}. Take it out, or search it `when: {{method.name: {known[-1]}}}`"
        )


def methods_tried(entries: Mapping[str, Range], method: str) -> list[str]:
    """The methods that trials of a space may have."""
    entry = entries.get("method.name")
    values = entry.ends() if isinstance(entry, Choice | Constant) else []
    return [*dict.fromkeys([*values, *([method] if entry is None or entry.when else [])])]
