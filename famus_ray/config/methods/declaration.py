"""The declaration of a method."""

from __future__ import annotations

from collections.abc import Callable
from dataclasses import dataclass
from typing import Any, Literal

from pydantic import BaseModel

__all__ = ["GATES", "META_STEP", "PIPELINE", "REPEATED_META_STEP", "WEIGHT_NET", "Method"]

# Settings that several methods read.
WEIGHT_NET = ("meta.lr", "meta.weight_decay", "meta.hidden")
META_STEP = (
    "meta.batch_size", "meta.lookahead_lr", "meta.engine", "meta.parallel", "meta.source",
    "meta.fidelity",
)  # fmt: skip
REPEATED_META_STEP = (*META_STEP, "meta.interval", "meta.clean_share")  # theta outlives a step
GATES = (
    "meta.scope", "meta.grouping", "meta.patterns", "meta.gated_from", "meta.sampler", "meta.open",
    "meta.gate_lr", "meta.gate_hidden", "meta.temperature", "meta.k", "meta.lambda1",
    "meta.lambda2",
)  # fmt: skip
PIPELINE = (
    "pipeline.networks", "pipeline.warmup", "pipeline.warmup_penalty", "pipeline.temperature",
    "pipeline.alpha", "pipeline.lambda_u", "pipeline.rampup", "pipeline.prior_penalty",
    "division.p_threshold", "division.meta_threshold",
)  # fmt: skip


@dataclass(frozen=True, kw_only=True)
class Method:
    """A training method: its name, its needs and its settings.

    Attributes:
        name: its name in `method.name`; for a method outside the package its import path.
        about: description in one line.
        build: the function that builds its step, or that function's import path, `module:name`.
            It is called with the network and a `famus_ray.methods.StepSettings`.
        reads: the settings that it reads, by dotted key, without those that all methods read.
        changes_in_run: those of them whose new values take effect when a run resumes from a
            checkpoint; population based training may perturb them.
        sources: the supported values of `meta.source`; empty for a method without virtual step.
        judges: the split of its meta batches under `meta.source = set`: the clean meta set, or
            the training set, whose labels it then does not read.
        always_two_networks: whether it always trains two networks.
        class_losses: whether it supports section `loss`.
        moves_all_layers: whether its virtual step holds a second copy of all weights.
        same_step_each_time: whether a CUDA graph can replay its step.
        options: pydantic model of its own settings, `method.options`; None if it has none.
        colour: of its curves in reports.
    """

    name: str
    about: str
    build: str | Callable[..., Any]
    reads: tuple[str, ...] = ()
    changes_in_run: tuple[str, ...] = ()
    sources: tuple[Literal["set", "batch", "pseudo_clean"], ...] = ()
    judges: Literal["meta", "train"] = "meta"
    always_two_networks: bool = False
    class_losses: bool = False
    moves_all_layers: bool = False
    same_step_each_time: bool = True
    options: type[BaseModel] | None = None
    colour: str = "#4a4e54"

    @property
    def needs_clean_set(self) -> bool:
        """Whether it needs a clean meta set under `meta.source = set`."""
        return "set" in self.sources and self.judges == "meta"
