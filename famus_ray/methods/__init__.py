"""The training methods: how the step of each is built.

What a method is called, needs and reads stands in its declaration (`famus_ray.config.methods`).
Most steps are a loss head and a choice of layers for one `meta.MetaStep`; some are steps of their
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
    """The step of `config.method` for a network, its meta model on the network's device.

    Args:
        noise: a generator on that device; whoever trains seeds it anew each epoch.
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
