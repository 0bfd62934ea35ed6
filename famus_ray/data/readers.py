"""The readers of data sets by name."""

from __future__ import annotations

from pathlib import Path

from famus_ray.config.data_settings import OWN_DATA
from famus_ray.config.import_path import is_import_path, own
from famus_ray.config.schema import DataConfig
from famus_ray.data.cifar import read_cifar10, read_cifar100
from famus_ray.data.clothing1m import read_clothing1m
from famus_ray.data.cnwl import read_cnwl
from famus_ray.data.digits import read_digits
from famus_ray.data.images import Paths, Source
from famus_ray.data.own.source import read_own
from famus_ray.data.shards.read import read_shards
from famus_ray.data.webvision import read_webvision
from famus_ray.errors import DataNotHere, UserError
from famus_ray.store import download, is_url

__all__ = ["read_source"]


def read_source(data: DataConfig) -> Source:
    """The data set of a config, as published.

    Raises:
        DataNotHere: `data.root` is not set, or there is no such folder.
        UserError: missing or damaged data in the folder.
    """
    if data.name == "digits":
        return Source(*read_digits())
    if is_import_path(data.name):
        return _of_the_user(data)
    if data.root is None:
        raise DataNotHere(f"data.root: {data.name} is read from a folder; set data.root=FOLDER")
    if data.name == "shards":  # images are read where they are
        return _with_size(read_shards(data.root), data)
    if is_url(data.root):
        raise UserError(
            f"data.root = {data.root}: of data in an object store shards are read only; "
            f"`famus-ray data prepare` writes {data.name} as shards"
        )
    root = Path(data.root).expanduser()
    download(root, heavy=True)
    if not root.exists() or (data.name not in OWN_DATA and not root.is_dir()):
        raise DataNotHere(f"data.root = {root}: no such folder")
    return _with_size(_read(data, root), data)


def _with_size(source: Source, data: DataConfig) -> Source:
    """The source, whose images have the one size that is asked for.

    Raises:
        UserError: none is asked for.
    """
    if isinstance(source.train.pixels, Paths) and data.image_size is None:
        raise UserError(
            f"data.image_size: {data.name} has images of many sizes; set the side in pixels that "
            "the network takes, such as 224"
        )
    return source


def _of_the_user(data: DataConfig) -> Source:
    source = own("data.name", data.name)(data)
    if not isinstance(source, Source):
        raise UserError(f"data.name = {data.name}: gave a {type(source).__name__}, not a Source")
    return source


def _read(data: DataConfig, root: Path) -> Source:
    match data.name:
        case "cifar10":
            return Source(*read_cifar10(root))
        case "cifar100":
            return Source(*read_cifar100(root))
        case "cnwl_red" | "cnwl_blue":
            return read_cnwl(root, data.name.removeprefix("cnwl_"), data.noise_level)
        case "webvision" | "webvision_mini":
            return read_webvision(root, mini=data.name == "webvision_mini")
        case "clothing1m":
            return read_clothing1m(root)
        case _:
            return read_own(root, data)
