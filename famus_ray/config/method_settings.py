"""Settings of losses, methods, optimisation and division."""

from __future__ import annotations

from typing import Annotated, Any, Literal

from pydantic import AfterValidator, Field

from famus_ray.choices import Engine, Fidelity, Parallel, Scope
from famus_ray.config.import_path import check_name, names_schema, one_of
from famus_ray.config.methods import Method, known_methods, method_named
from famus_ray.config.section import (
    Distinct,
    Epochs,
    Float,
    Int,
    LearningRate,
    Number,
    Section,
    Temperature,
    Text,
    Weight,
)

__all__ = [
    "DivisionConfig",
    "LossConfig",
    "MetaConfig",
    "MethodConfig",
    "OptimiserConfig",
    "PipelineConfig",
    "ScheduleConfig",
]


def _known(name: str) -> str:
    check_name(name, known_methods(), "mine.bootstrap:METHOD")
    method_named(name)
    return name


def _described() -> str:
    each = "; ".join(f"{name}: {method_named(name).about}" for name in known_methods())
    return f"{each}. Or the import path of a method's declaration, such as mine.bootstrap:METHOD."


MethodName = Annotated[Text, AfterValidator(_known), names_schema(known_methods())]
_GROUPINGS = ("tensor", "layer", "block", "stage", "patterns")
Grouping = Annotated[Text, one_of(_GROUPINGS, "mine.groups:halves"), names_schema(_GROUPINGS)]


class LossConfig(Section):
    """The loss of one training example, for methods that take one (ce, mwnet, famus)."""

    kind: Literal["cross_entropy", "ldam"] = "cross_entropy"
    """cross_entropy; ldam: with a margin for each class, the larger the rarer (Cao et al. 2019)."""
    margin: Float = Field(0.5, gt=0, le=100)
    """LDAM's margin of the rarest class, on the scale of the cosines."""
    reweight_from: Epochs | None = None
    """Epochs after which classes are weighted by their effective number (deferred reweighting);
    never when left out."""
    beta: Float = Field(0.9999, ge=0, lt=1)
    """Parameter of the effective number (1 - beta^n) / (1 - beta)."""


class MethodConfig(Section):
    """The training method."""

    name: MethodName = Field("famus", description=_described())
    options: dict[str, Any] = Field(default={}, max_length=1000)
    """Settings of its own of a method outside of the package, which declares them."""
    mixup_alpha: Float = Field(1.0, ge=1e-6, le=1e6)
    """Parameter of Beta(alpha, alpha) in mixup and mentormix."""
    percentile: Float = Field(0.7, gt=0, le=1)
    """mentormix: the share of a batch with the lowest losses that the curriculum trusts."""
    percentile_decay: Float = Field(0.9, ge=0, lt=1)
    """mentormix: decay of the moving average of that loss percentile."""
    partner_temperature: Temperature = 1.0
    """mentormix: temperature T of the draw of partners, softmax(v / T)."""
    burn_in: Int = Field(0, ge=0, le=1_000_000_000)
    """mentormix: steps in which every example is trusted."""
    second_weighting: bool = True
    """mentormix: the curriculum weighs the mixed examples as well."""
    graph_temperature: Temperature = 0.5
    """clidmu: temperature of the softmax over the cosines of features."""

    @property
    def declaration(self) -> Method:
        """What the method is, needs and reads."""
        return method_named(self.name)


class MetaConfig(Section):
    """The meta model, the gates and the meta step."""

    lr: LearningRate = 1e-3
    """Learning rate beta of the weight net (Adam)."""
    matrix_lr: LearningRate = 1.0
    """Learning rate of mlc's transition matrix (SGD)."""
    weight_decay: Float = Field(1e-4, ge=0, le=1e6)
    """Weight decay of the weight net."""
    hidden: Int = Field(100, ge=1, le=1_000_000)
    """Hidden units of the weight net."""
    batch_size: Annotated[int, Field(ge=1, le=10_000_000), Number] | None = None
    """Meta examples a step; run.batch_size when left out, at most the whole meta set."""
    lookahead_lr: LearningRate | None = None
    """Rate of the virtual step; the current learning rate when left out."""
    engine: Engine = "jvp"
    """jvp: one forward-mode pass, exact; double_backward: the definition, slower;
    finite_difference: two more forwards, approximate."""
    interval: Int = Field(1, ge=1, le=10_000)
    """Steps from one update of the meta model and the gates to the next."""
    source: Literal["set", "batch", "pseudo_clean"] = "set"
    """What judges the virtual step. set: the clean meta set; batch: one half of each training
    batch, by its rows of lowest loss, for a step that the other half takes; pseudo_clean: what
    the other of two networks takes for clean (section pipeline). The last two need no clean
    examples."""
    clean_share: Float = Field(0.5, gt=0, le=1)
    """Share of the judging rows of a batch, those of lowest loss, that is taken as clean."""
    scope: Scope = "all"
    """Which layers the virtual step moves: all, or the gated tail only."""
    grouping: Grouping = "layer"
    """What one gate covers: tensor, layer, block, stage, what each of meta.patterns finds, or a
    function of your own by its import path, from the network to `LayerGroups`."""
    patterns: Annotated[tuple[Text, ...], Field(max_length=10_000), Distinct] = ()
    """Regular expressions on parameter names, a gate each; only what they find is gated."""
    gated_from: Text = "last_stage"
    """Where the gated tail begins: all, last_stage, last_block, or the beginning of a layer's
    name."""
    parallel: Parallel = "exact"
    """Of several workers: exact looks ahead on the whole batch and equals one worker; local on each
    worker's own rows, and averages the meta gradients: fewer bytes, other numbers."""
    sampler: Literal["learned", "all", "fixed", "random"] = "learned"
    """Which gates are open: learned (FaMUS), all, fixed (meta.open), or k at random."""
    open: Annotated[tuple[Text, ...], Field(max_length=10_000), Distinct] = ()
    """Groups that a fixed sampler opens, by the beginning of their names."""
    gate_lr: LearningRate = 0.1
    """Learning rate delta of the gates (SGD, momentum 0.9)."""
    gate_hidden: Int = Field(128, ge=1, le=1_000_000)
    """Hidden units of a gate."""
    temperature: Temperature = 5.0
    """Temperature of the Gumbel-softmax."""
    k: Float = Field(4.0, ge=0, le=1e6)
    """K: number of gates expected to be open (Eq. 10), or open under the random sampler."""
    lambda1: Weight = 0.1
    """Weight of L_r, which holds the number of open gates near K."""
    lambda2: Weight = 0.0
    """Weight of L_g, which matches the last layer's train and meta gradients."""
    fidelity: Fidelity = "paper"
    """Where they differ: as the paper says, or as its released code does in L_r (the last
    learned gate alone), in a closed gate's gradient (sign), in the gates' input
    (standardised sums), in L_g (spread as well), in the gates' networks and momentum, and in
    the pipeline's prior, which joins the meta loss, and weights, which sum to one over labelled
    and unlabelled examples together."""


class OptimiserConfig(Section):
    """The optimiser of the network."""

    lr: LearningRate = 0.02
    """Learning rate alpha."""
    momentum: Float = Field(0.9, ge=0, lt=1)
    """Momentum."""
    weight_decay: Float = Field(5e-4, ge=0, le=1e6)
    """Weight decay."""
    nesterov: bool = False
    """Nesterov momentum."""
    clip_norm: Annotated[float, Field(gt=0, le=1e30), Number] | None = None
    """Longest gradient, all parameters together; not clipped when left out."""
    accumulate: Int = Field(1, ge=1, le=1_000_000)
    """Batches whose gradients make one move of the network; each has a meta step of its own."""


class ScheduleConfig(Section):
    """How long, and how the learning rate falls."""

    epochs: Int = Field(300, ge=1, le=1_000_000)
    """Passes over the training set."""
    balanced_batches: Annotated[int, Field(ge=1, le=1_000_000_000), Number] | None = None
    """Batches of an epoch, with equally many examples of each class, drawn anew for each epoch;
    every example once when left out."""
    kind: Literal["constant", "step", "cosine"] = "step"
    """constant; step: times gamma at each milestone; cosine: to zero at the last epoch."""
    milestones: tuple[Epochs, ...] = Field((200, 250), max_length=1000)
    """Epochs at which a step schedule falls."""
    gamma: Float = Field(0.1, gt=0, le=1)
    """Factor of a step schedule."""


class DivisionConfig(Section):
    """Which labels are clean, told from the training losses."""

    kind: Literal["gaussian", "beta", "agreement"] = "gaussian"
    """gaussian, beta: a mixture of two over the losses; agreement: the network's probability of
    the label."""
    max_iter: Int = Field(10, ge=1, le=1_000_000)
    """Iterations of expectation-maximisation."""
    tol: Float = Field(1e-2, gt=0, le=1e3)
    """gaussian: gain in likelihood under which it stops."""
    reg_covar: Float = Field(5e-4, ge=0, le=1e3)
    """gaussian: added to the variances."""
    p_threshold: Float = Field(0.5, ge=0, lt=1)
    """Examples with a higher p(clean) keep their label (labelled, in DivideMix's words)."""
    meta_threshold: Float = Field(0.8, ge=0, lt=1)
    """Examples with a higher p(clean) are the pseudo-clean meta set."""
    keep: Int = Field(5, ge=1, le=1_000_000)
    """Divisions that samples.parquet holds. Of two networks the latest ones; one network judges the
    labels at so many epochs, spread evenly over the last quarter of the training."""


class PipelineConfig(Section):
    """Training without clean data: dividemix, and any method with meta.source: pseudo_clean."""

    networks: Literal["in_turn", "at_once"] = "in_turn"
    """in_turn: the second network trains after the first, and guesses labels with it as it is
    then; at_once: each guesses with the other as it was at the end of the last epoch, and of
    several workers one half trains the one, one half the other."""
    warmup: Int = Field(10, ge=1, le=1_000_000)
    """Epochs of cross-entropy on all data before the first division."""
    warmup_penalty: bool = False
    """Penalise confident predictions in the warm-up, as DivideMix does for asymmetric noise."""
    temperature: Temperature = 0.5
    """T that sharpens refined and guessed labels."""
    alpha: Float = Field(4.0, ge=1e-6, le=1e6)
    """Parameter of MixMatch's Beta(alpha, alpha)."""
    lambda_u: Weight = 25.0
    """Weight of the unlabelled examples' squared error, after the ramp-up."""
    rampup: Epochs = 16
    """Epochs after the warm-up in which it rises from 0."""
    prior_penalty: Weight = 1.0
    """Weight of the divergence of the mean prediction from a uniform prior; with
    meta.fidelity: released it joins the meta loss as well."""
