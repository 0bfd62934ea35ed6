"""What can be measured: a method with settings, on a network with a batch and an image size."""

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
    """A method and overrides of the config, written as `famus meta.scope=tail`.

    Attributes:
        build: makes its step; one from elsewhere, such as a reference, has a name of its own.
    """

    name: str
    build: BuildStep = build_step

    def config(self, setup: Setup) -> Config:
        """The settings of one run, checked.

        Raises:
            UserError: a setting that does not exist, or a value that it cannot take.
        """
        method, *overrides = self.name.split()
        settings = [f"model.name={setup.network}", f"run.batch_size={setup.batch}"]
        if self.build is build_step:
            settings += [f"method.name={method}", *overrides]
        return resolve(None, settings).config


PLAIN = Variant("ce")

_SECTIONS = ("meta", "method")  # of the config, those that make a step

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
    """Plain SGD first, then the usual variants of `methods` and those named; all without either.

    Raises:
        UserError: a method without a usual variant, or a name that the bench cannot step as it
            says: a setting that it does not use, or two networks.
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
    """What is the same for all variants of one comparison.

    Attributes:
        pixels: images are 3 x pixels x pixels.
        precision: bfloat16 is autocast; parameters stay float32.
    """

    network: str
    batch: int
    pixels: int
    device: Literal["cpu", "cuda"] = "cpu"
    precision: Literal["float32", "bfloat16"] = "float32"
    channels_last: bool = False

    @property
    def way(self) -> str:
        """What is unusual about it, for the name of a row; empty for plain float32."""
        precision = f", {self.precision}" if self.precision != "float32" else ""
        return precision + (", channels_last" if self.channels_last else "")

    def __str__(self) -> str:
        return f"{self.network}, batch {self.batch}, {self.pixels} pixels"


# Image size and batch of each network's recipe, and batches that a CPU steps through in seconds.
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
    """One setup a network and batch size; what is left out is as in the network's recipe.

    Without a GPU the batches are smaller, so that no step takes more than a few seconds.
    """
    place = device or ("cuda" if torch.cuda.is_available() else "cpu")
    setups = []
    for network in networks:
        key = "wrn" if network.startswith("wrn") else network.rpartition("/")[2]
        size, usual, on_cpu = _RECIPES.get(key, _OTHERS)
        for batch in batches or (usual if place == "cuda" else on_cpu):
            setups.append(Setup(network, batch, pixels or size, place))
    return setups
