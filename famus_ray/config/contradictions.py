"""Settings that are each in range but contradict each other."""

from __future__ import annotations

from collections.abc import Iterator, Mapping

from pydantic import ValidationError

from famus_ray.config.address import address_problem
from famus_ray.config.data_settings import OWN_DATA
from famus_ray.config.methods import names_of
from famus_ray.config.schema import Config, LossConfig, MethodConfig

__all__ = ["Contradiction", "contradictions"]

Contradiction = tuple[str, str]


def contradictions(config: Config, sources: Mapping[str, str]) -> Iterator[Contradiction]:
    """The contradictions of a config, as pairs of a key and a message with advice.

    Args:
        config: the settings.
        sources: the source of each value, by dotted key.
    """
    yield from _of_noise(config, sources)
    yield from _of_data(config)
    yield from _of_optimiser(config)
    yield from _of_method(config)
    yield from _of_workers(config)
    yield from _of_cuda_graph(config)


def _of_noise(config: Config, sources: Mapping[str, str]) -> Iterator[Contradiction]:
    """Contradictions of noise; a preset's rate may stay if its noise is switched off."""
    kind, rate = config.noise.kind, config.noise.rate
    asked_for = sources.get("noise.rate") == "command line"
    is_without = kind == "none" and (asked_for or sources.get("noise.kind") == "default")
    if rate and (is_without or (kind == "file" and asked_for)):
        what = "without noise.kind" if kind == "none" else "with noise.kind = file"
        yield (
            "noise.rate",
            f"noise.rate = {rate}: has no effect {what}; try noise.kind = symmetric",
        )
    if kind not in ("none", "file") and not rate and sources.get("noise.rate") == "default":
        yield (
            "noise.kind",
            f"noise.kind = {kind}: changes no label without a rate; set noise.rate, such as 0.4",
        )
    preset = sources.get("noise.kind")
    is_ours = preset in (None, "command line", "arguments", sources.get("data.name"))
    if kind != "none" and config.data.name in OWN_DATA and not is_ours:
        yield (
            "noise.kind",
            f"noise.kind = {kind}: {preset} adds wrong labels, and nobody knows which of yours "
            f"are wrong already; set noise.kind = none, or noise.kind = {kind} yourself",
        )
    if kind == "file" and config.noise.file is None:
        yield "noise.kind", "noise.kind = file: set noise.file to the file of the labels"


def _of_optimiser(config: Config) -> Iterator[Contradiction]:
    if config.optimiser.nesterov and not config.optimiser.momentum:
        yield (
            "optimiser.nesterov",
            "optimiser.nesterov = true: needs momentum; set optimiser.momentum, such as 0.9",
        )


def _of_data(config: Config) -> Iterator[Contradiction]:
    if config.data.augment == "resized_crop" and config.data.storage != "disk":
        yield (
            "data.augment",
            "data.augment = resized_crop: needs the whole images; set data.storage = disk",
        )
    if config.loss.kind == "ldam" and config.model.classifier != "cosine":
        yield (
            "loss.kind",
            "loss.kind = ldam: its margins are on cosines; set model.classifier = cosine",
        )
    if config.loss != type(config.loss)() and not config.method.declaration.class_losses:
        yield (
            "loss.kind",
            f"loss.kind = {config.loss.kind}: has no effect on method {config.method.name}; "
            f"loss is for {', '.join(names_of(lambda method: method.class_losses))}",
        )


def _of_method(config: Config) -> Iterator[Contradiction]:
    method, source = config.method.declaration, config.meta.source
    if source not in ("set", *method.sources):
        others = names_of(lambda other: source in other.sources)
        yield (
            "meta.source",
            f"meta.source = {source}: is for {', '.join(others)}, not for method {method.name}",
        )
    if problem := _of_options(config.method):
        yield "method.options", f"method.options = {config.method.options}: {problem}"
    by_differences = config.meta.engine == "finite_difference"
    if by_differences and config.run.precision == "bfloat16":
        yield (
            "meta.engine",
            "meta.engine = finite_difference: run.precision = bfloat16 rounds by more than such "
            "differences; set meta.engine = jvp, or run.precision = float32",
        )
    if config.has_two_networks and config.pipeline.warmup >= config.schedule.epochs:
        yield (
            "pipeline.warmup",
            f"pipeline.warmup = {config.pipeline.warmup}: leaves no epoch of schedule.epochs = "
            f"{config.schedule.epochs} to divide in; lower it",
        )
    if config.has_two_networks and config.loss != LossConfig():
        yield ("loss.kind", "loss: the pipeline of two networks has losses of its own")
    if method.needs_clean_set and source == "set" and config.data.meta_per_class == 0:
        own = "add clean images as meta, check some labels, or set data.meta_per_class = 10 if the "
        mend = f"{own}labels are clean as they are" if config.data.name in OWN_DATA else "try 10"
        yield (
            "data.meta_per_class",
            f"data.meta_per_class = 0: method {config.method.name} learns from a clean meta set; "
            f"{mend}, or meta.source = pseudo_clean",
        )
    if source == "batch" and config.run.batch_size < 2:
        yield (
            "run.batch_size",
            "run.batch_size = 1: meta.source = batch needs a row that learns and one that judges; "
            "take 2 or more",
        )
    if (config.meta.grouping == "patterns") != bool(config.meta.patterns):
        yield (
            "meta.patterns",
            f"meta.patterns = {list(config.meta.patterns)}: goes with meta.grouping = patterns, "
            f"which is {config.meta.grouping}",
        )


def _of_options(method: MethodConfig) -> str:
    """The problems of a method's own settings, `method.options`; empty without any."""
    declared = method.declaration.options
    if declared is None:
        return f"method {method.name} has no settings of its own" if method.options else ""
    try:
        declared.model_validate(method.options)
    except ValidationError as error:
        return "; ".join(f"{'.'.join(map(str, e['loc']))}: {e['msg']}" for e in error.errors())
    return ""


def _of_workers(config: Config) -> Iterator[Contradiction]:
    if config.scale.address is not None and (problem := address_problem(config.scale.address)):
        yield "scale.address", problem
    if config.scale.autoscaling and config.scale.address is None:
        yield (
            "scale.autoscaling",
            "scale.autoscaling = true: a local cluster does not grow; set scale.address",
        )
    gpus = config.scale.gpus_per_worker
    if 0 < gpus < 0.01 or (gpus > 1 and gpus != int(gpus)):
        yield (
            "scale.gpus_per_worker",
            f"scale.gpus_per_worker = {gpus:g}: must be 0, a share of a GPU from 0.01 on, or a "
            "whole number",
        )
    if config.scale.workers > 1 and 0 < gpus < 1:
        yield (
            "scale.gpus_per_worker",
            f"scale.gpus_per_worker = {config.scale.gpus_per_worker:g}: the workers of a run need "
            "a GPU each (NCCL lets no two share one); set 1, or scale.workers = 1",
        )
    if config.meta.batch_size is not None and config.meta.batch_size < config.scale.workers:
        yield (
            "meta.batch_size",
            f"meta.batch_size = {config.meta.batch_size}: less than one example for each of "
            f"scale.workers = {config.scale.workers}",
        )
    at_once = config.has_two_networks and config.pipeline.networks == "at_once"
    if at_once and config.scale.workers > 1 and config.scale.workers % 2:
        yield (
            "scale.workers",
            f"scale.workers = {config.scale.workers}: pipeline.networks = at_once gives each "
            "network one half of them; make it even",
        )
    if config.run.batch_size % config.scale.workers:
        yield (
            "run.batch_size",
            f"run.batch_size = {config.run.batch_size}: must be a multiple of "
            f"scale.workers = {config.scale.workers}",
        )


def _of_cuda_graph(config: Config) -> Iterator[Contradiction]:
    differing = {
        f"method {config.method.name}": not config.method.declaration.same_step_each_time,
        f"meta.interval = {config.meta.interval}": config.meta.interval > 1,
        f"optimiser.accumulate = {config.optimiser.accumulate}": config.optimiser.accumulate > 1,
        f"scale.workers = {config.scale.workers}": config.scale.workers > 1,
    }
    for name, is_differing in differing.items():
        if config.run.cuda_graph and is_differing:
            yield (
                "run.cuda_graph",
                f"run.cuda_graph = true: is for one worker and a step that is the same each time, "
                f"not for {name}; leave it out",
            )
