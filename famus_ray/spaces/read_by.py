"""Which methods read which settings: a search over one that no trial reads compares chance."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from famus_ray.config.schema import MetaConfig, MethodConfig, PipelineConfig
from famus_ray.spaces.ranges import Choice, Constant, Range, Searched, listed

__all__ = ["readers", "unread"]

_WEIGHT_NET = ("mwnet", "famus", "clidmu")
_META_SET = ("l2rw", "mwnet", "mlc", "famus")
_META_STEP = (*_META_SET, "clidmu")
_TWO_NETWORKS = ("dividemix", *_META_SET)  # the others with meta.source = pseudo_clean

_META = {
    "lr": _WEIGHT_NET,
    "weight_decay": _WEIGHT_NET,
    "hidden": _WEIGHT_NET,
    "matrix_lr": ("mlc",),
    "batch_size": _META_STEP,
    "lookahead_lr": _META_STEP,
    "engine": _META_STEP,
    "parallel": _META_STEP,
    "source": _META_STEP,
    "fidelity": _META_STEP,
    "interval": ("mwnet", "mlc", "famus", "clidmu"),
    "clean_share": ("mwnet", "mlc", "famus", "clidmu"),
}
_METHOD = {
    "name": None,
    "mixup_alpha": ("mixup", "mentormix"),
    "graph_temperature": ("clidmu",),
}
_READ_BY: dict[str, tuple[str, ...] | None] = {
    **{f"meta.{key}": _META.get(key, ("famus",)) for key in MetaConfig.model_fields},
    **{f"method.{key}": _METHOD.get(key, ("mentormix",)) for key in MethodConfig.model_fields},
    **{f"pipeline.{key}": _TWO_NETWORKS for key in PipelineConfig.model_fields},
    "division.p_threshold": _TWO_NETWORKS,
    "division.meta_threshold": _TWO_NETWORKS,
}


def readers(name: str) -> tuple[str, ...] | None:
    """The methods that read a setting, with some value of the others; None where all do."""
    return _READ_BY.get(name)


def unread(entries: Mapping[str, Range], method: str) -> Iterator[str]:
    """What is searched though no method that the space can have reads it.

    Args:
        method: of the config that every trial starts from.
    """
    found: dict[tuple[tuple[str, ...], tuple[str, ...]], list[str]] = {}
    for name, entry in entries.items():
        wanted = listed(entry.when["method.name"]) if "method.name" in entry.when else None
        tried = tuple(m for m in _methods(entries, method) if wanted is None or m in wanted)
        known = readers(name)
        if isinstance(entry, Searched) and known is not None and tried and not {*tried} & {*known}:
            found.setdefault((tried, known), []).append(name)
    for (tried, known), names in found.items():
        what = "method" if len(tried) == 1 else "methods"
        verb = "reads" if len(tried) == 1 else "read"
        yield (
            f"{', '.join(names)}: no setting that {what} {', '.join(tried)} {verb}; for "
            f"{', '.join(known)}. Take it out, or search it `when: {{method.name: {known[-1]}}}`"
        )


def _methods(entries: Mapping[str, Range], method: str) -> list[str]:
    """The methods that trials may have."""
    entry = entries.get("method.name")
    values = entry.ends() if isinstance(entry, Choice | Constant) else []
    return [*dict.fromkeys([*values, *([method] if entry is None or entry.when else [])])]
