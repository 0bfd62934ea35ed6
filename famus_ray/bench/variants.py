"""Variants to measure, a method with settings; and setups: network, batch and image size."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from typing import Literal

import torch
from torch import nn

from famus_ray.config.resolve import resolve
from famus_ray.config.schema import Config
from famus_ray.errors import UserError
from famus_ray.meta.step import TrainStep
from famus_ray.methods import build_step

__all__ = ["PLAIN", "VARIANTS", "BuildStep", "Setup", "Variant", "default_setups", "variants_of"]

BuildStep = Callable[[Config, nn.Module, int, torch.Generator], TrainStep]


@dataclass(frozen=True)
class Variant:
    """A method with settings, written as `famus meta.scope=tail`.

    Attributes:
        name: the method and overrides of the config; any name if `build` is not the default.
        build: builds its step; another function may build that of a reference implementation.
    """

    name: str
    build: BuildStep = build_step

    def config(self, setup: Setup) -> Config:
        """The config of a run of this variant.

        Raises:
            UserError: an unknown setting or a wrong value.
        """
        method, *overrides = self.name.split()
        settings = [f"model.name={setup.network}", f"run.batch_size={setup.batch}"]
        if self.build is build_step:
            settings += [f"method.name={method}", *overrides]
        return resolve(None, settings).config


PLAIN = Variant("ce")

_SECTIONS = ("meta", "method")  # sections of the config that determine a step

VARIANTS = (
    PLAIN,
    Variant("l2rw"),
    Variant("mlc"),
    Variant("mwnet"),
    Variant("mwnet meta.engine=double_backward"),
    Variant("famus"),
    Variant("famus meta.engine=double_backward"),
    Variant("famus meta.engine=finite_difference"),
    Variant("famus meta.scope=tail"),
    Variant("famus meta.scope=tail meta.engine=double_backward"),
    Variant("famus meta.scope=tail meta.source=batch"),
    Variant("famus meta.gated_from=last_block"),
    Variant("famus meta.gated_from=last_block meta.scope=tail"),
    Variant("famus meta.interval=5"),
    Variant("famus meta.scope=tail meta.interval=5"),
)


def variants_of(methods: Sequence[str], names: Sequence[str]) -> tuple[Variant, ...]:
    """Plain SGD, then the usual variants of `methods`, then the variants `names`.

    Without methods and names it returns all usual variants.

    Raises:
        UserError: a method without a usual variant, or a variant that the bench cannot measure,
            with a setting that the bench does not use or with two networks.
    """
    known = sorted({variant.name.split()[0] for variant in VARIANTS})
    for method in methods:
        if method not in known:
            raise UserError(f"--methods {method}: must be among {', '.join(known)}")
    usual = [v for v in VARIANTS if v.name.split()[0] in methods or not (methods or names)]
    chosen = [PLAIN, *usual, *(_variant(name) for name in names)]
    return tuple(dict.fromkeys(chosen))


def _variant(name: str) -> Variant:
    words = name.split()
    if not words:
        raise UserError("--variant: is empty; name a method, such as famus")
    for item in words[1:]:
        key = item.partition("=")[0]
        section = key.partition(".")[0]
        if key in ("method", "method.name"):
            raise UserError(f"--variant {name!r}: {item}: the method is the first word")
        if section in Config.model_fields and section not in _SECTIONS:
            raise UserError(
                f"--variant {name!r}: {item}: a variant takes settings of {' and '.join(_SECTIONS)}"
                " only; network, batch, optimiser, loss and device are the bench's own"
            )
    if resolve(None, [f"method.name={words[0]}", *words[1:]]).config.has_two_networks:
        raise UserError(
            f"--variant {name!r}: trains two networks on mixed batches; the bench steps one "
            "network on plain batches"
        )
    return Variant(" ".join(words))


@dataclass(frozen=True)
class Setup:
    """The conditions that all variants of a comparison share.

    Attributes:
        network: its name.
        batch: batch size.
        pixels: images are 3 x pixels x pixels.
        device: cpu or cuda.
        precision: bfloat16 means autocast; parameters stay in float32.
        channels_last: memory format of network and images.
    """

    network: str
    batch: int
    pixels: int
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = False

    @property
    def way(self) -> str:
        """The differences from plain float32, for the name of a row; empty without any."""
        precision = f", {self.precision}" if self.precision != "float32" else ""
        return precision + (", channels_last" if self.channels_last else "")

    def __str__(self) -> str:
        return f"{self.network}, batch {self.batch}, {self.pixels} pixels"


# Each network's image size and batch sizes as in its recipe, and smaller batches for CPUs.
_RECIPES: dict[str, tuple[int, tuple[int, ...], tuple[int, ...]]] = {
    "preact_resnet8": (32, (64,), (32, 64)),
    "preact_resnet18": (32, (64,), (32, 64)),
    "resnet32": (32, (100,), (32, 64)),
    "wrn": (32, (100,), (8,)),
    "resnet50": (224, (32,), (8,)),
    "inception_resnet_v2": (299, (16,), (4,)),
}
_OTHERS = (224, (32,), (8,))


def default_setups(
    networks: Sequence[str],
    batches: Sequence[int] = (),
    pixels: int | None = None,
    device: Literal["cpu", "cuda"] | None = None,
) -> list[Setup]:
    """One setup per network and batch size; the defaults are those of the network's recipe.

    On a CPU the default batches are smaller, so that a step takes at most a few seconds.
    """
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    setups = []
    for network in networks:
        key = "wrn" if network.startswith("wrn") else network.rpartition("/")[2]
        size, usual, on_cpu = _RECIPES.get(key, _OTHERS)
        for batch in batches or (usual if place == "cuda" else on_cpu):
            setups.append(Setup(network, batch, pixels or size, place))
    return setups
