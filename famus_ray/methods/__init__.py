"""The training methods: how the step of each is built.

A method's name, needs and settings are in its declaration (`famus_ray.config.methods`). Most
steps are a `meta.MetaStep` with a loss head and a choice of layers; some have a class of their
own.
"""

from __future__ import annotations

import torch
from torch import nn

from famus_ray.config.import_path import imported
from famus_ray.config.schema import Config
from famus_ray.meta.step import MetaStep, TrainStep
from famus_ray.meta.variations import variations_of
from famus_ray.methods.losses import class_loss
from famus_ray.methods.mixmatch import MixedHead, PriorMetaLoss
from famus_ray.methods.step_settings import StepSettings

__all__ = ["StepSettings", "build_step"]


def build_step(config: Config, model: nn.Module, classes: int, noise: torch.Generator) -> TrainStep:
    """The step of `config.method` for a network, with its meta model on the network's device.

    Args:
        config: the run's settings.
        model: the network.
        classes: number of classes of the data.
        noise: a generator on the network's device; the training loop reseeds it every epoch.
    """
    build = config.method.declaration.build
    if isinstance(build, str):
        build = imported(build)
    mixed = config.has_two_networks
    settings = StepSettings(
        config.method, config.meta, classes, noise, class_loss(config.loss, config.model), mixed
    )
    step: TrainStep = build(model, settings)
    if mixed:
        prior = config.pipeline.prior_penalty
        step.head = MixedHead(step.head, prior)
        if isinstance(step, MetaStep) and variations_of(config.meta.fidelity).prior_in_meta_loss:
            step.meta_loss = PriorMetaLoss(prior)
    return step
