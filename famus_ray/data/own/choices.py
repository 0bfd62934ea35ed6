"""Settings for a user's own images, chosen by what is there, each with its reason."""

from __future__ import annotations

from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import numpy as np
import torch

from famus_ray.config.presets import own_data
from famus_ray.config.resolve import Resolved, flattened, nested, resolve, resolve_values
from famus_ray.config.schema import Config, DataConfig
from famus_ray.data.images import Images, Paths, Source
from famus_ray.data.own.corrections import corrected
from famus_ray.data.own.findings import told
from famus_ray.data.own.handed import HandedData
from famus_ray.data.own.layout import list_own
from famus_ray.data.own.listing import OwnData
from famus_ray.data.own.sizes import sizes
from famus_ray.data.own.source import as_source
from famus_ray.errors import DataNotHere
from famus_ray.memory import free_memory, in_gib

__all__ = ["Choice", "Chosen", "choices_for", "resolve_run"]

_SMALL = 64  # largest side in pixels that the small networks are for
_IMAGES_SEEN = 48_000  # over all epochs, at most 30 and at least 6 of them
_FEW = 8  # epochs up to which augmentation costs more than it brings; docs/labels.md measures it


@dataclass(frozen=True)
class Choice:
    """A setting's value and why it was chosen."""

    key: str
    value: Any
    reason: str


@dataclass(frozen=True)
class Chosen:
    """A config for a run.

    Attributes:
        resolved: the config and its sources; of a chosen setting the reason.
        told: lines for the user on the data and the choices; empty unless the data are own.
    """

    resolved: Resolved
    told: tuple[str, ...] = ()


def resolve_run(
    preset: str | Path | None,
    overrides: Sequence[str] = (),
    values: Mapping[str, Any] | None = None,
    handed: HandedData | None = None,
) -> Chosen:
    """The config of a preset, a YAML file, or a user's own images, changed by settings.

    Args:
        preset: a preset's name, a YAML file, or the folder or table of the images.
        overrides: `section.key=value`; the last one wins.
        values: settings as a nested mapping, applied before the overrides.
        handed: the images, where they are in memory; their `data.root` is set later.

    Raises:
        UserError: problems of the settings, or of the data where settings are chosen by them.
    """
    place = None if preset is None else own_data(str(preset))
    if place is not None:
        values = _with_root(values, place)
        preset = "own"
    found, _ = resolve_values(preset, overrides, values, "arguments")
    if found is None or found.config.data.name != "own" or not _is_new(found):
        return Chosen(resolve(preset, overrides, values))
    choices, about = choices_for(found, handed)
    chosen = {choice.key: choice.value for choice in choices}
    resolved = resolve(preset, overrides, nested({**chosen, **flattened(values or {})}))
    resolved.sources.update({c.key: f"chosen: {c.reason}" for c in choices})
    return Chosen(resolved, about)


def choices_for(
    found: Resolved, handed: HandedData | None = None
) -> tuple[list[Choice], tuple[str, ...]]:
    """The settings that are chosen by a user's own images, where `found` has only a default.

    Args:
        found: the user's settings; `data.name` is own.
        handed: the images, where they are in memory.

    Returns:
        The choices, and lines for the user on the data and the choices.

    Raises:
        UserError: problems of the data.
    """
    data = found.config.data
    if handed is None:
        listed = _listed(data)
        source, about = as_source(listed, Path(str(data.root)), data), told(listed, data)
    else:
        source, about = handed.read(data), handed.told(data)
    applied = []
    if data.corrections is not None:
        before, source = source, corrected(source, Path(data.corrections))
        applied = [f"{data.corrections}: {_applied(before, source)}"]
    choices = [c for c in _choices(source, found) if found.sources[c.key] == "default"]
    lines = [f"{c.key}={_plain(c.value)}: {c.reason}" for c in choices]
    return choices, (*about, *applied, *lines)


def _listed(data: DataConfig) -> OwnData | None:
    if data.root is None or not Path(data.root).exists():
        where = f"data.root = {data.root}: no such" if data.root else "data.root: no"
        raise DataNotHere(f"{where} folder or table of images")
    return list_own(Path(data.root), data.name)


def _applied(before: Source, after: Source) -> str:
    """How many labels are checked, and how many of them were changed."""
    parts = ((before.train, after.train), (before.test, after.test))
    changed = sum(int((then.labels != now.labels).sum()) for then, now in parts)
    checked = sum(int(now.checked.sum()) for _, now in parts if now.checked is not None)
    return f"{checked:,} labels are checked, {changed:,} of them corrected"


def _is_new(found: Resolved) -> bool:
    """Whether the settings are a user's and not the complete ones of a run."""
    return "default" in found.sources.values()


def _with_root(values: Mapping[str, Any] | None, place: Path) -> dict[str, Any]:
    sections = dict(values or {})
    data = sections.get("data", {})
    sections["data"] = {"root": str(place), **(data if isinstance(data, Mapping) else {})}
    return sections


def _choices(source: Source, user: Resolved) -> list[Choice]:
    trained = len(source.train.labels)
    batch = 64 if trained < 20_000 else 128
    while batch > 4 and batch > trained // 4:
        batch //= 2
    epochs = min(30, max(6, _IMAGES_SEEN // trained))
    few = f"{trained:,} training images"
    found = [Choice("run.batch_size", batch, few), Choice("schedule.epochs", epochs, few)]
    if user.sources["schedule.epochs"] != "default":
        epochs = user.config.schedule.epochs
    found += _of_images(source.train, user.config, epochs)
    smallest = int(np.bincount(source.train.labels, minlength=source.train.classes).min())
    if smallest < 10 and source.validation is None:
        found.append(Choice("data.validation_fraction", 0.0, f"a class has {smallest} images"))
        found.append(Choice("run.select", "test", "no validation images"))
    return found + _of_clean(source.train, source.meta)


def _of_clean(train: Images, meta: Images | None) -> list[Choice]:
    """The method: with a clean meta set FaMUS, without one plain training."""
    checked = 0 if train.checked is None else int(train.checked.sum())
    if meta is not None:
        most = int(np.bincount(meta.labels).max())
        why = f"{len(meta.labels):,} images are the clean meta set"
        return [Choice("method.name", "famus", why), Choice("data.meta_per_class", most, why)]
    if checked >= train.classes:
        most = -(-checked // train.classes)
        why = f"{checked:,} checked labels serve as the clean meta set"
        return [Choice("method.name", "famus", why), Choice("data.meta_per_class", most, why)]
    why = "no label is known to be right"
    return [Choice("method.name", "ce", why), Choice("data.meta_per_class", 0, why)]


def _of_images(train: Images, config: Config, epochs: int) -> list[Choice]:
    if not isinstance(train.pixels, Paths):
        size, grey = min(train.pixels.shape[2:]), train.pixels.shape[1] != 3
        return [_network(size, grey), *_augmented(size, grey, epochs)]
    files = sizes(train.pixels)
    grey, short = files.grey, files.short
    size = config.data.image_size or _side(short)
    what = f"images are {files}"
    found = [Choice("data.image_size", size, what)]
    if short > size:
        found.append(Choice("data.resize", size * 8 // 7, what))
    colours = "grey" if grey else "colour"
    found.append(Choice("data.channels", 1 if grey else 3, f"images are {colours}"))
    found += [_network(size, grey), *_augmented(size, grey, epochs)]
    needed = len(train.labels) * 3 * size * size * 2
    if needed > free_memory() // 2:
        found.append(Choice("data.storage", "disk", f"{in_gib(needed)} would not fit well"))
    return found


def _network(size: int, grey: bool) -> Choice:
    """A network for images of this side; torchvision's take three channels."""
    has_gpu = torch.cuda.is_available()
    large = "timm/resnet18" if grey else "torchvision/resnet18"
    small = "preact_resnet18" if has_gpu else "preact_resnet8"
    where = "with a GPU" if has_gpu else "without a GPU"
    return Choice("model.name", small if size <= _SMALL else large, f"{size} pixels, {where}")


def _augmented(size: int, grey: bool, epochs: int) -> list[Choice]:
    """Augmentation: slower to learn from, but without it wrong labels are soon known by heart."""
    if epochs <= _FEW:
        return [Choice("data.augment", "none", f"{epochs} epochs are few")]
    mirror = "grey images may be letters, which have no mirror" if grey else "photographs"
    return [
        Choice("data.augment", "shift" if grey else "crop_flip", mirror),
        Choice("data.crop_padding", max(1, size // 8), f"{size} pixels"),
    ]


def _side(short: int) -> int:
    """The side in pixels that the network sees, for images of this shorter side."""
    if torch.cuda.is_available() and short > 2 * _SMALL:
        return 224
    return min(max(short, 8), _SMALL)


def _plain(value: Any) -> str:
    return f"{value:g}" if isinstance(value, float) else str(value)
