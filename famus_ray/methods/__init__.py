"""The training methods by name: each is a loss head and a choice of layers."""

from __future__ import annotations

from typing import Protocol

import torch
from torch import nn

from famus_ray.config.schema import Config
from famus_ray.meta.step import MetaStep, TrainStep
from famus_ray.methods import ce, clidmu, dividemix, famus, l2rw, mentormix, mixup, mlc, mwnet
from famus_ray.methods.mixmatch import MixedHead, PriorMetaLoss

__all__ = ["METHODS", "build_step"]


class Builder(Protocol):
    """Makes a method's step for a network; `gate_noise` is seeded anew each epoch."""

    def __call__(
        self, config: Config, model: nn.Module, gate_noise: torch.Generator
    ) -> TrainStep: ...


METHODS: dict[str, Builder] = {
    "ce": ce.build,
    "mixup": mixup.build,
    "l2rw": l2rw.build,
    "mwnet": mwnet.build,
    "mlc": mlc.build,
    "famus": famus.build,
    "mentormix": mentormix.build,
    "dividemix": dividemix.build,
    "clidmu": clidmu.build,
}


def build_step(config: Config, model: nn.Module, gate_noise: torch.Generator) -> TrainStep:
    """The step of `config.method`, its meta model on the network's device."""
    step = METHODS[config.method.name](config, model, gate_noise)
    if config.has_two_networks:
        prior = config.pipeline.prior_penalty
        step.head = MixedHead(step.head, prior)
        if isinstance(step, MetaStep) and config.meta.fidelity == "released":
            step.meta_loss = PriorMetaLoss(prior)
    return step
