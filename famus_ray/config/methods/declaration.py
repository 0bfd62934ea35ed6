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
    """What a training method is, needs and reads.

    Attributes:
        name: that `method.name` takes; of a method outside of the package its import path.
        about: what it does, a line for people.
        build: the function that makes its step, or that function's import path, `module:name`.
            It is called with the network and a `famus_ray.methods.StepSettings`.
        reads: the settings that it reads among those that not every method reads, by dotted key.
        changes_in_run: those of them that a run takes up when it goes on from a checkpoint with
            other values; what population based training may perturb.
        sources: the values of `meta.source` that can judge its virtual step; without any, it has
            none to judge.
        judges: the split that its meta batches come from where `meta.source` is set: the clean
            meta set, or the training set, of which it then reads no labels.
        always_two_networks: it has no form with one network.
        class_losses: it takes section `loss`.
        moves_all_layers: its virtual step holds a second copy of all weights.
        same_step_each_time: a CUDA graph can replay its step.
        options: the model of `method.options`, settings of its own; it takes none without.
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
        """Whether its meta set must be clean examples where `meta.source` is set."""
        return "set" in self.sources and self.judges == "meta"
