"""The settings of a run: strict, frozen, explained. A function takes the section it needs."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated, Any, Literal

from pydantic import BaseModel, BeforeValidator, ConfigDict, Field

__all__ = [
    "Config",
    "DataConfig",
    "DivisionConfig",
    "LossConfig",
    "MetaConfig",
    "MethodConfig",
    "ModelConfig",
    "NoiseConfig",
    "OptimiserConfig",
    "PipelineConfig",
    "RunConfig",
    "ScaleConfig",
    "ScheduleConfig",
    "StudyConfig",
]


def _no_bool(value: Any) -> Any:
    if isinstance(value, bool):
        raise ValueError("must be a number, not true or false")
    return value


Float = Annotated[float, BeforeValidator(_no_bool)]
Int = Annotated[int, BeforeValidator(_no_bool)]
Seed = Annotated[Int, Field(ge=0, lt=2**32)]


def _absolute(value: Any) -> Any:
    """Workers of Ray run elsewhere: a path means the same there only in full."""
    return str(Path(value).expanduser().absolute()) if isinstance(value, str) else value


AbsolutePath = Annotated[str, BeforeValidator(_absolute)]


class _Section(BaseModel):
    model_config = ConfigDict(
        frozen=True,
        extra="forbid",
        allow_inf_nan=False,
        use_attribute_docstrings=True,
        coerce_numbers_to_str=True,  # run.name=2024 is a name
    )


class DataConfig(_Section):
    """Which images, and how they are split."""

    name: Literal[
        "digits", "cifar10", "cifar100", "cnwl_red", "cnwl_blue", "webvision_mini", "webvision",
        "clothing1m", "folders", "tables",
    ] = "digits"  # fmt: skip
    """Data set: digits (ships with scikit-learn), or one of `famus-ray data list`; folders and
    tables are your own images, in a folder for each class or listed in CSV or Parquet files."""
    root: AbsolutePath | None = None
    """Folder that holds the data set in its published layout; digits need none."""
    noise_level: Float = Field(0.2, ge=0, le=1)
    """Share of noisy labels in cnwl_red and cnwl_blue: 0, 0.2, 0.4, 0.6 or 0.8."""
    storage: Literal["memory", "disk"] = "memory"
    """Image files: memory reads and crops all of them once, at the start; disk reads each when a
    batch asks for it."""
    image_size: Int | None = Field(None, ge=1)
    """Side in pixels to which image files are cropped."""
    resize: Int | None = Field(None, ge=1)
    """Shorter side of image files before the crop; their own when left out."""
    validation_fraction: Float = Field(0.1, ge=0, lt=1)
    """Share of the training images held out, class by class, with their true labels where known.
    None are where the data set has a validation set of its own."""
    meta_per_class: Int = Field(10, ge=0)
    """Clean examples of each class in the meta set, taken from the training images, or from the
    data set's own clean ones where it has any."""
    augment: Literal["none", "shift", "crop_flip", "resized_crop"] = "crop_flip"
    """none; shift: random crop after padding; crop_flip: that and a random mirror image;
    resized_crop: 8 to 100 % of the image's area and a random mirror image (storage=disk)."""
    crop_padding: Int = Field(4, ge=0)
    """Pixels of zero padding around an image before the random crop."""
    imbalance: Float = Field(1.0, ge=1)
    """Long tail: class c of C keeps n_max / imbalance^(c / (C-1)) training examples; 1 keeps all.
    Validation and meta examples are taken first."""


class NoiseConfig(_Section):
    """Corruption of the training labels; validation, test and meta labels stay true."""

    kind: Literal[
        "none", "symmetric", "symmetric_per_sample", "symmetric_excl", "asymmetric", "instance",
        "file",
    ] = "none"  # fmt: skip
    """symmetric: exactly int(rate*N) labels redrawn over all classes (DivideMix);
    symmetric_per_sample: each label with probability rate (FaMUS, MW-Net);
    symmetric_excl: as symmetric, never the true class; asymmetric: to a similar class;
    instance: a rate and a likely class of each image's own (Xia et al. 2020), rate their mean;
    file: the labels in noise.file."""
    rate: Float = Field(0.0, ge=0, le=1)
    """Share of the labels that is redrawn."""
    file: AbsolutePath | None = None
    """Labels of all training images in their own order: CIFAR-N's .pt, or a JSON list."""
    column: str | None = None
    """Which labels of a CIFAR-N file: aggre_label, worse_label, random_label1, noisy_label, ..."""
    seed: Seed | None = None
    """Seed of the corruption; run.seed when left out."""


class ModelConfig(_Section):
    """The network."""

    name: str = "preact_resnet18"
    """preact_resnet18, preact_resnet8, resnet32, wrn28_10, wrn40_2 (wrnDEPTH_FACTOR), or any
    classifier of timm or torchvision (timm/NAME, torchvision/NAME; a plain name is looked up in
    that order)."""
    widths: tuple[Annotated[Int, Field(ge=1)], ...] | None = None
    """Channels of each stage of a preact_resnet, resnet32 or wrn."""
    norm: Literal["batch", "group"] = "batch"
    """Normalisation of a preact_resnet, resnet32 or wrn; group couples no examples."""
    classifier: Literal["linear", "cosine"] = "linear"
    """Last layer: linear, or cosine: logit_scale times the cosine of features and class weights
    (preact_resnet, resnet32, wrn), which LDAM needs."""
    logit_scale: Float = Field(30.0, gt=0)
    """Scale of a cosine classifier."""
    weights: AbsolutePath | None = None
    """File with initial weights (safetensors or a PyTorch state dict)."""


class LossConfig(_Section):
    """The loss of one training example, for ce, mwnet and famus."""

    kind: Literal["cross_entropy", "ldam"] = "cross_entropy"
    """cross_entropy; ldam: with a margin for each class, the larger the rarer (Cao et al. 2019)."""
    margin: Float = Field(0.5, gt=0)
    """LDAM's margin of the rarest class, on the scale of the cosines."""
    reweight_from: Int | None = Field(None, ge=0)
    """Epochs after which classes are weighted by their effective number (deferred reweighting);
    never when left out."""
    beta: Float = Field(0.9999, ge=0, lt=1)
    """Parameter of the effective number (1 - beta^n) / (1 - beta)."""


class MethodConfig(_Section):
    """The training method."""

    name: Literal[
        "ce", "mixup", "l2rw", "mwnet", "mlc", "famus", "mentormix", "dividemix", "clidmu"
    ] = "famus"
    """ce: plain cross-entropy; mixup: convex pairs of examples; l2rw: a weight an example, from
    scratch at each step; mwnet: learned weights, all layers; mlc: learned label
    transition matrix; famus: learned weights, gated layers; mentormix: mixup led by a curriculum
    of losses; dividemix: two networks divide the data for each other, no weights; clidmu: learned
    weights, meta loss without labels."""
    mixup_alpha: Float = Field(1.0, gt=0)
    """Parameter of Beta(alpha, alpha) in mixup and mentormix."""
    percentile: Float = Field(0.7, gt=0, le=1)
    """mentormix: the share of a batch with the lowest losses that the curriculum trusts."""
    percentile_decay: Float = Field(0.9, ge=0, lt=1)
    """mentormix: decay of the moving average of that loss percentile."""
    partner_temperature: Float = Field(1.0, gt=0)
    """mentormix: temperature T of the draw of partners, softmax(v / T)."""
    burn_in: Int = Field(0, ge=0)
    """mentormix: steps in which every example is trusted."""
    second_weighting: bool = True
    """mentormix: the curriculum weighs the mixed examples as well."""
    graph_temperature: Float = Field(0.5, gt=0)
    """clidmu: temperature of the softmax over similarities."""


class MetaConfig(_Section):
    """The meta model, the gates and the meta step."""

    lr: Float = Field(1e-3, gt=0)
    """Learning rate beta of the weight net (Adam)."""
    matrix_lr: Float = Field(1.0, gt=0)
    """Learning rate of mlc's transition matrix (SGD)."""
    weight_decay: Float = Field(1e-4, ge=0)
    """Weight decay of the weight net."""
    hidden: Int = Field(100, ge=1)
    """Hidden units of the weight net."""
    batch_size: Int | None = Field(None, ge=1)
    """Meta examples a step; run.batch_size when left out, at most the whole meta set."""
    lookahead_lr: Float | None = Field(None, gt=0)
    """Rate of the virtual step; the current learning rate when left out."""
    engine: Literal["jvp", "double_backward", "finite_difference"] = "jvp"
    """jvp: one forward-mode pass, exact; double_backward: the definition, slower;
    finite_difference: two more forwards, approximate."""
    interval: Int = Field(1, ge=1)
    """Steps from one update of the meta model and the gates to the next."""
    source: Literal["set", "batch", "pseudo_clean"] = "set"
    """What judges the virtual step. set: the clean meta set; batch: one half of each training
    batch, by its rows of lowest loss, for a step that the other half takes; pseudo_clean: what
    the other of two networks takes for clean (section pipeline). The last two need no clean
    examples."""
    clean_share: Float = Field(0.5, gt=0, le=1)
    """Share of the judging rows of a batch, those of lowest loss, that is taken as clean."""
    scope: Literal["all", "tail"] = "all"
    """Which layers the virtual step moves: all, or the gated tail only."""
    grouping: Literal["tensor", "layer", "block", "stage", "patterns"] = "layer"
    """What one gate covers: tensor, layer, block, stage, or what each of meta.patterns finds."""
    patterns: tuple[str, ...] = ()
    """Regular expressions on parameter names, a gate each; only what they find is gated."""
    gated_from: str = "last_stage"
    """Where the gated tail begins: all, last_stage, or the beginning of a layer's name."""
    parallel: Literal["exact", "local"] = "exact"
    """Of several workers: exact looks ahead on the whole batch and equals one worker; local on each
    worker's own rows, and averages the meta gradients: fewer bytes, other numbers."""
    sampler: Literal["learned", "all", "fixed", "random"] = "learned"
    """Which gates are open: learned (FaMUS), all, fixed (meta.open), or k at random."""
    open: tuple[str, ...] = ()
    """Groups that a fixed sampler opens, by the beginning of their names."""
    gate_lr: Float = Field(0.1, gt=0)
    """Learning rate delta of the gates (SGD, momentum 0.9)."""
    gate_hidden: Int = Field(128, ge=1)
    """Hidden units of a gate."""
    temperature: Float = Field(5.0, gt=0)
    """Temperature of the Gumbel-softmax."""
    k: Float = Field(4.0, ge=0)
    """K: number of gates expected to be open (Eq. 10), or open under the random sampler."""
    lambda1: Float = Field(0.1, ge=0)
    """Weight of L_r, which holds the number of open gates near K."""
    lambda2: Float = Field(0.0, ge=0)
    """Weight of L_g, which matches the last layer's train and meta gradients."""
    fidelity: Literal["paper", "released"] = "paper"
    """Where they differ: as the paper says, or as its released code does in L_r (the last
    learned gate alone), in a closed gate's gradient (sign), in the gates' input
    (standardised sums), in L_g (spread as well), in the gates' networks and momentum, and in
    the pipeline's prior, which joins the meta loss, and weights, which sum to one over labelled
    and unlabelled examples together."""


class OptimiserConfig(_Section):
    """The optimiser of the network."""

    lr: Float = Field(0.02, gt=0)
    """Learning rate alpha."""
    momentum: Float = Field(0.9, ge=0, lt=1)
    """Momentum."""
    weight_decay: Float = Field(5e-4, ge=0)
    """Weight decay."""
    nesterov: bool = False
    """Nesterov momentum."""
    clip_norm: Float | None = Field(None, gt=0)
    """Longest gradient, all parameters together; not clipped when left out."""
    accumulate: Int = Field(1, ge=1)
    """Batches whose gradients make one move of the network; each has a meta step of its own."""


class ScheduleConfig(_Section):
    """How long, and how the learning rate falls."""

    epochs: Int = Field(300, ge=1)
    """Passes over the training set."""
    balanced_batches: Int | None = Field(None, ge=1)
    """Batches of an epoch, with equally many examples of each class, drawn anew for each epoch;
    every example once when left out."""
    kind: Literal["constant", "step", "cosine"] = "step"
    """constant; step: times gamma at each milestone; cosine: to zero at the last epoch."""
    milestones: tuple[Int, ...] = (200, 250)
    """Epochs at which a step schedule falls."""
    gamma: Float = Field(0.1, gt=0, le=1)
    """Factor of a step schedule."""


class DivisionConfig(_Section):
    """Which labels are clean, told from the training losses."""

    kind: Literal["gaussian", "beta", "agreement"] = "gaussian"
    """gaussian, beta: a mixture of two over the losses; agreement: the network's probability of
    the label."""
    max_iter: Int = Field(10, ge=1)
    """Iterations of expectation-maximisation."""
    tol: Float = Field(1e-2, gt=0)
    """gaussian: gain in likelihood under which it stops."""
    reg_covar: Float = Field(5e-4, ge=0)
    """gaussian: added to the variances."""
    p_threshold: Float = Field(0.5, ge=0, lt=1)
    """Examples with a higher p(clean) keep their label (labelled, in DivideMix's words)."""
    meta_threshold: Float = Field(0.8, ge=0, lt=1)
    """Examples with a higher p(clean) are the pseudo-clean meta set."""
    keep: Int = Field(5, ge=1)
    """Divisions that samples.parquet holds, the latest ones."""


class PipelineConfig(_Section):
    """Training without clean data: dividemix, and any method with meta.source: pseudo_clean."""

    warmup: Int = Field(10, ge=1)
    """Epochs of cross-entropy on all data before the first division."""
    warmup_penalty: bool = False
    """Penalise confident predictions in the warm-up, as DivideMix does for asymmetric noise."""
    temperature: Float = Field(0.5, gt=0)
    """T that sharpens refined and guessed labels."""
    alpha: Float = Field(4.0, gt=0)
    """Parameter of MixMatch's Beta(alpha, alpha)."""
    lambda_u: Float = Field(25.0, ge=0)
    """Weight of the unlabelled examples' squared error, after the ramp-up."""
    rampup: Int = Field(16, ge=0)
    """Epochs after the warm-up in which it rises from 0."""
    prior_penalty: Float = Field(1.0, ge=0)
    """Weight of the divergence of the mean prediction from a uniform prior; with
    meta.fidelity: released it joins the meta loss as well."""


class RunConfig(_Section):
    """The run itself."""

    name: str | None = Field(None, min_length=1)
    """Folder under run.root; made from method and data when left out."""
    root: str = "runs"
    """Folder that holds the runs."""
    seed: Seed = 0
    """Decides everything random: same seed, same machine, same workers, same numbers."""
    batch_size: Int = Field(64, ge=1)
    """Training examples a step, over all workers together."""
    device: Literal["auto", "cpu", "cuda"] = "auto"
    """auto: a GPU where there is one."""
    threads: Int | None = Field(None, ge=1)
    """CPU threads of each worker; its share of the cores when left out."""
    precision: Literal["float32", "bfloat16"] = "float32"
    """bfloat16: the network's forward under autocast; weights, heads and meta model in float32."""
    channels_last: bool | None = None
    """Memory order of images and filters; yes on a GPU, no on a CPU when left out."""
    checkpoint_every: Int = Field(1, ge=1)
    """Epochs between checkpoints."""
    diagnose_every: Int = Field(10, ge=0)
    """Epochs between diagnostics: how gating changes the meta gradient on four batches, and the
    weights of right and wrong labels; 0 leaves them out."""
    select: Literal["validation", "test"] = "validation"
    """The split that picks the best epoch; test only to compare with papers that do so."""


class ScaleConfig(_Section):
    """Workers, and the Ray cluster they run on."""

    workers: Int = Field(1, ge=1)
    """Data-parallel processes of one run."""
    cpus_per_worker: Float = Field(1.0, gt=0)
    """CPU cores of each worker."""
    gpus_per_worker: Float = Field(0.0, ge=0)
    """GPUs of each worker; 0 trains on CPUs."""
    address: str | None = None
    """Ray cluster to join; a local one is started and stopped when left out."""


class StudyConfig(_Section):
    """The search for good settings."""

    trials: Int = Field(16, ge=1)
    """Configurations to try; a grid has as many as it has."""
    concurrent: Int | None = Field(None, ge=1)
    """Trials at the same time; as many as the cluster holds when left out."""
    metric: str = "validation/top1"
    """Curve that is maximised."""
    minimise: tuple[str, ...] = ()
    """More objectives: curves that are minimised, such as time/step."""
    seeds: Int = Field(1, ge=1)
    """Runs of each configuration, with run.seed, run.seed + 1, ...; its value is their mean."""
    searcher: Literal["tpe", "random", "grid", "qmc", "gp", "nsga2", "cmaes"] = "tpe"
    """tpe: tree-structured Parzen estimator; random; grid: every combination; qmc: an even
    spread; gp: Gaussian process; nsga2: evolution, for several objectives; cmaes: evolution
    strategy, for numbers (needs the extra `search`)."""
    scheduler: Literal["asha", "hyperband", "median", "none"] = "asha"
    """What ends poor trials early: successive halving, HyperBand, the median rule, nothing."""
    seed: Seed = 0
    """Seed of the searcher."""
    startup_trials: Int = Field(5, ge=1)
    """Random trials before the searcher models the results."""
    grace_epochs: Int = Field(3, ge=1)
    """Epochs before a trial can be pruned."""
    reduction_factor: Int = Field(3, ge=2)
    """At each rung one trial in so many goes on (asha, hyperband)."""
    retries: Int = Field(2, ge=0)
    """How often a trial is begun again whose process or node was lost."""


class Config(_Section):
    """All settings of a run."""

    data: DataConfig = DataConfig()
    noise: NoiseConfig = NoiseConfig()
    model: ModelConfig = ModelConfig()
    loss: LossConfig = LossConfig()
    method: MethodConfig = MethodConfig()
    meta: MetaConfig = MetaConfig()
    optimiser: OptimiserConfig = OptimiserConfig()
    schedule: ScheduleConfig = ScheduleConfig()
    division: DivisionConfig = DivisionConfig()
    pipeline: PipelineConfig = PipelineConfig()
    run: RunConfig = RunConfig()
    scale: ScaleConfig = ScaleConfig()
    study: StudyConfig = StudyConfig()

    @property
    def has_two_networks(self) -> bool:
        """Whether two networks divide the training set for each other."""
        return self.method.name == "dividemix" or self.meta.source == "pseudo_clean"
