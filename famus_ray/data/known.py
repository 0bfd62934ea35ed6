"""The known data sets: description, layout on disk and source."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field

__all__ = ["KNOWN", "Known"]


@dataclass(frozen=True)
class Known:
    """One data set.

    Attributes:
        about: description in one line.
        images: number of images of each split as published; without splits that depend on the
            user, or whose published number is rounded.
        size: on disk, as text for the user.
        source: where to get it.
        layout: files and folders under the root, as text for the user.
        marks: glob patterns; a match under the root identifies the data set.
        needs: files without which it cannot be read.
        classes: number of classes; None if it depends on the user.
        notes: further remarks for the user.
    """

    about: str
    images: Mapping[str, int]
    size: str
    source: str
    layout: tuple[str, ...]
    marks: tuple[str, ...]
    needs: tuple[str, ...] = ()
    classes: int | None = None
    notes: tuple[str, ...] = field(default=())


_CNWL_LAYOUT = (
    "split/{colour}_noise_nl_{{0.0,0.2,0.4,0.6,0.8}}    <image> <label>",
    "split/clean_validation                       <image> <label>",
    "all_images/<image> with validation/<label>/<image>",
    "or training_s32/<split>/<label>/<image> with validation_s32/<label>/<image>",
)
_WEBVISION_LAYOUT = (
    "info/train_filelist_google.txt               <path> <label>",
    "info/val_filelist.txt                        <image> <label>, in val_images_256/",
    "info/synsets.txt                             the order of the classes",
    "imagenet/val/<synset or label>/<image>       ILSVRC12, if wanted; may be a link",
)
_WEBVISION_NEEDS = ("info/train_filelist_google.txt", "info/val_filelist.txt", "info/synsets.txt")
_WEBVISION_SOURCE = "https://data.vision.ee.ethz.ch/cvl/webvision/dataset2017.html"


def _cnwl(colour: str, about: str) -> Known:
    return Known(
        about=about,
        images={"train": 50_000, "test": 5_000},
        size="0.15 GB at 32 pixels",
        source="https://google.github.io/controlled-noisy-web-labels/",
        layout=tuple(line.format(colour=colour) for line in _CNWL_LAYOUT),
        marks=(f"split/{colour}_noise_nl_*",),
        needs=("split/clean_validation",),
        classes=100,
        notes=("50,010 training images at level 0.4 and 50,008 at 0.8",),
    )


KNOWN: dict[str, Known] = {
    "digits": Known(
        about="handwritten digits of scikit-learn, 8x8 grey",
        images={"train": 1438, "test": 359},
        size="ships with scikit-learn",
        source="installed",
        layout=(),
        marks=(),
        classes=10,
    ),
    "cifar10": Known(
        about="CIFAR-10, 32x32; with CIFAR-10N's human labels by noise.kind=file",
        images={"train": 50_000, "test": 10_000},
        size="0.18 GB",
        source="https://www.cs.toronto.edu/~kriz/cifar.html (the Python version)",
        layout=(
            "cifar-10-batches-py/{data_batch_1..5,test_batch}",
            "CIFAR-10_human.pt                            CIFAR-10N, if wanted: "
            "https://github.com/UCSC-REAL/cifar-10-100n",
        ),
        marks=("cifar-10-batches-py", "data_batch_1"),
        classes=10,
    ),
    "cifar100": Known(
        about="CIFAR-100, 32x32; with CIFAR-100N's human labels by noise.kind=file",
        images={"train": 50_000, "test": 10_000},
        size="0.18 GB",
        source="https://www.cs.toronto.edu/~kriz/cifar.html (the Python version)",
        layout=(
            "cifar-100-python/{train,test}",
            "CIFAR-100_human.pt                           CIFAR-100N, if wanted: "
            "https://github.com/UCSC-REAL/cifar-10-100n",
        ),
        marks=("cifar-100-python",),
        classes=100,
    ),
    "cnwl_red": _cnwl("red", "CNWL Mini-ImageNet, noise from the web, levels 0 to 0.8"),
    "cnwl_blue": _cnwl("blue", "CNWL Mini-ImageNet, labels redrawn, levels 0 to 0.8"),
    "webvision_mini": Known(
        about="mini WebVision: the Google part of the first 50 classes",
        images={"train": 65_944, "test": 2_500},
        size="1 to 8 GB",
        source=_WEBVISION_SOURCE,
        layout=_WEBVISION_LAYOUT,
        marks=("info/train_filelist_google.txt", "info"),
        needs=_WEBVISION_NEEDS,
        classes=50,
    ),
    "webvision": Known(
        about="WebVision 1.0: Google and Flickr, more than 2.4 million images of 1000 classes",
        images={"test": 50_000},
        size="100 GB at 256 pixels",
        source=_WEBVISION_SOURCE,
        layout=(_WEBVISION_LAYOUT[0].replace("google.txt", "{google,flickr}.txt"),
                *_WEBVISION_LAYOUT[1:]),
        marks=("info/train_filelist_flickr.txt",),
        needs=(*_WEBVISION_NEEDS, "info/train_filelist_flickr.txt"),
        classes=1000,
    ),
    "clothing1m": Known(
        about="Clothing1M: shop images, 14 classes, with clean splits",
        images={"train": 1_000_000, "meta": 47_570, "validation": 14_313, "test": 10_526},
        size="12 GB at 256 pixels",
        source="https://github.com/Cysu/noisy_label (on request from its authors)",
        layout=(
            "noisy_label_kv.txt, clean_label_kv.txt       images/... <label>",
            "{noisy_train,clean_train,clean_val,clean_test}_key_list.txt    images/...",
        ),
        marks=("noisy_label_kv.txt", "noisy_train_key_list.txt"),
        needs=(
            "noisy_label_kv.txt", "clean_label_kv.txt", "noisy_train_key_list.txt",
            "clean_train_key_list.txt", "clean_val_key_list.txt", "clean_test_key_list.txt",
        ),
        classes=14,
    ),
    "own": Known(
        about="your own images in any of these layouts, recognised",
        images={},
        size="",
        source="your own",
        layout=(
            "<class>/<image>                              the test set is split off",
            "folders and tables as below; one table alone",
            "train-00000-of-00004.parquet                 Hugging Face's images and labels",
            "label=<class>/*.parquet                      a partitioned Parquet folder",
            "train-images-idx3-ubyte.gz and its labels    idx files, as of MNIST",
        ),
        marks=(),
    ),
    "shards": Known(
        about="any of these data sets, as `famus-ray data prepare` wrote it: a few large files",
        images={},
        size="",
        source="`famus-ray data prepare SOURCE FOLDER`",
        layout=("shards.json, train-00000-of-000NN.parquet, ...",),
        marks=("shards.json",),
        needs=("shards.json",),
    ),
    "folders": Known(
        about="your own images: a folder for each class",
        images={},
        size="",
        source="your own",
        layout=(
            "train/<class>/<image>",
            "test/<class>/<image>                         (or val/)",
            "validation/<class>/<image>, meta/<class>/<image>     if you have them",
        ),
        marks=("train/*/",),
    ),
    "tables": Known(
        about="your own images: CSV or Parquet files that list them",
        images={},
        size="",
        source="your own",
        layout=(
            "train.csv, test.csv                          path,label[,clean_label]",
            "validation.csv, meta.csv                     if you have them; or .parquet",
        ),
        marks=("train.csv", "train.parquet"),
    ),
}  # fmt: skip
