"""Settings of data, noise and network."""

from __future__ import annotations

from typing import Annotated, Literal

from pydantic import Field

from famus_ray.config.import_path import names_schema, one_of
from famus_ray.config.section import AbsolutePath, Float, Int, Number, Section, Seed, Text

__all__ = ["DATA_NAMES", "OWN_DATA", "DataConfig", "ModelConfig", "NoiseConfig"]


_Width = Annotated[int, Field(ge=1, le=100_000), Number]


OWN_DATA = ("own", "folders", "tables")
"""The data sets that are the user's own images."""

DATA_NAMES = (
    "digits", "cifar10", "cifar100", "cnwl_red", "cnwl_blue", "webvision_mini", "webvision",
    "clothing1m", "shards", *OWN_DATA,
)  # fmt: skip
"""The data sets that have a name."""


class DataConfig(Section):
    """Which images, and how they are split."""

    name: Annotated[Text, one_of(DATA_NAMES, "mine.birds:read"), names_schema(DATA_NAMES)] = (
        "digits"
    )
    """Data set: digits (ships with scikit-learn), or one of `famus-ray data list`; shards are what
    `famus-ray data prepare` wrote of any of them; own is your own images in any layout that is
    recognised, folders and tables are these two layouts of them; or the import path of a function
    of your own, from this section to a `Source`."""
    root: AbsolutePath | None = None
    """Folder that holds the data set in its published layout; digits need none. Of your own
    images also a single table."""
    corrections: AbsolutePath | None = None
    """A .csv file with paths and labels of your own images that a person has checked; `labels=FILE`
    for short. Of a list that `famus-ray labels --to` wrote, the changed rows count and those with
    anything in the column `checked`; of another table every row."""
    test_fraction: Float = Field(0.1, ge=0, lt=1)
    """Share of each class of your own images that becomes the test set, where there is none."""
    join_labels: bool = False
    """Join classes of your own images whose names differ only in case, blanks or Unicode form."""
    noise_level: Float = Field(0.2, ge=0, le=1)
    """Share of noisy labels in cnwl_red and cnwl_blue: 0, 0.2, 0.4, 0.6 or 0.8."""
    storage: Literal["memory", "disk"] = "memory"
    """Image files: memory reads and crops all of them once, at the start; disk reads each when a
    batch asks for it."""
    channels: Annotated[Literal[1, 3], Number] = 3
    """Channels of images from files: 3 for colour, 1 for a network that sees grey. Data sets that
    are no image files (digits, cifar10, cifar100) have channels of their own."""
    damaged: Literal["refuse", "leave_out"] = "refuse"
    """Image files that are missing, damaged or no images: refuse them, at the start
    (storage=memory) or when a batch asks for one (disk); leave_out reads every file once before
    training and does without those, in every split."""
    image_size: Annotated[int, Field(ge=1, le=10_000), Number] | None = None
    """Side in pixels to which image files are cropped."""
    resize: Annotated[int, Field(ge=1, le=10_000), Number] | None = None
    """Shorter side of image files before the crop; their own when left out."""
    validation_fraction: Float = Field(0.1, ge=0, lt=1)
    """Share of the training images held out, class by class, with their true labels where known.
    None are where the data set has a validation set of its own."""
    meta_per_class: Int = Field(10, ge=0, le=1_000_000)
    """Clean examples of each class in the meta set, taken from the training images, or from the
    data set's own clean ones where it has any."""
    augment: Literal["none", "shift", "crop_flip", "resized_crop"] = "crop_flip"
    """none; shift: random crop after padding; crop_flip: that and a random mirror image;
    resized_crop: 8 to 100 % of the image's area and a random mirror image (storage=disk)."""
    crop_padding: Int = Field(4, ge=0, le=1000)
    """Pixels of zero padding around an image before the random crop."""
    imbalance: Float = Field(1.0, ge=1, le=1e6)
    """Long tail: class c of C keeps n_max / imbalance^(c / (C-1)) training examples; 1 keeps all.
    Validation and meta examples are taken first."""


class NoiseConfig(Section):
    """Corruption of the training labels; validation, test and meta labels stay true."""

    kind: Literal[
        "none", "symmetric", "symmetric_per_sample", "symmetric_excl", "asymmetric", "instance",
        "file",
    ] = "none"  # fmt: skip
    """symmetric: exactly int(rate*N) labels redrawn over all classes (DivideMix);
    symmetric_per_sample: each label with probability rate (FaMUS, MW-Net);
    symmetric_excl: as symmetric, never the true class; asymmetric: to a similar class;
    instance: a rate and a likely class of each image's own (Xia et al. 2020), drawn around rate
    within [0, 1], so that their mean is rate from 0.3 to 0.7 only (0.101 at 0.05);
    file: the labels in noise.file."""
    rate: Float = Field(0.0, ge=0, le=1)
    """Share of the labels that is redrawn."""
    file: AbsolutePath | None = None
    """Labels of all training images in their own order: CIFAR-N's .pt, or a JSON list."""
    column: Text | None = None
    """Which labels of a CIFAR-N file: aggre_label, worse_label, random_label1, noisy_label, ..."""
    seed: Seed | None = None
    """Seed of the corruption; run.seed when left out."""


class ModelConfig(Section):
    """The network."""

    name: Text = "preact_resnet18"
    """preact_resnet18, preact_resnet8, resnet32, wrn28_10, wrn40_2 (wrnDEPTH_FACTOR), or any
    classifier of timm or torchvision (timm/NAME, torchvision/NAME; a plain name is looked up in
    that order), or the import path of your own, such as mine.nets:small: a function or class of
    (classes, channels), or a network."""
    widths: Annotated[tuple[_Width, ...], Field(max_length=100)] | None = None
    """Channels of each stage of a preact_resnet, resnet32 or wrn."""
    norm: Literal["batch", "group"] = "batch"
    """Normalisation of a preact_resnet, resnet32 or wrn; group couples no examples."""
    classifier: Literal["linear", "cosine"] = "linear"
    """Last layer: linear, or cosine: logit_scale times the cosine of features and class weights
    (preact_resnet, resnet32, wrn), which LDAM needs."""
    logit_scale: Float = Field(30.0, gt=0, le=1e6)
    """Scale of a cosine classifier."""
    weights: AbsolutePath | None = None
    """File with initial weights (safetensors or a PyTorch state dict)."""
