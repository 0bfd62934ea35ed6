"""What a run will cost on this machine: measured on a few of its own steps."""

from __future__ import annotations

import resource
import time
from itertools import islice

from famus_ray.config.schema import Config
from famus_ray.errors import UserError

__all__ = ["describe_cost"]

_STEPS = 4


def describe_cost(config: Config) -> str:
    """Steps, memory and hours of a run in one line, or why they cannot be told.

    Runs four steps of one worker here, on a copy that is thrown away.
    """
    from famus_ray.data.catalog import load_dataset
    from famus_ray.loop import pick_device, start
    from famus_ray.memory import keep_freed_memory

    try:
        data = load_dataset(config.data, config.noise, config.run.seed)
        device = pick_device(config)
        procedure = start(config, data.to(device), device)
    except UserError as error:
        return f"# cost: unknown: {error}"
    keep_freed_memory()
    learner = procedure.learners[0]
    learner.model.train()
    seconds = []
    pairs, steps_each = procedure.rehearsal()
    began = time.perf_counter()
    for train, meta in islice(pairs, _STEPS):
        measured = learner.step(learner.model, learner.optimiser, train, meta)
        float(measured["train/loss"])  # wait for the device
        seconds.append(time.perf_counter() - began)
        began = time.perf_counter()
    steps = steps_each * config.schedule.epochs
    hours = sorted(seconds)[len(seconds) // 2] * steps / 3600
    parameters = sum(p.numel() for one in procedure.learners for p in one.model.parameters())
    time_needed = f"{hours:.1f} hours" if hours >= 1 else f"{hours * 60:.1f} minutes"
    if hours < 1 / 30:
        time_needed = f"{hours * 3600:.0f} seconds"
    return (
        f"# cost: {steps_each} steps x {config.schedule.epochs} epochs = {steps} steps; "
        f"{parameters / 1e6:.2f} M parameters; about {time_needed} of steps on one worker here "
        f"({device.type}), peak memory {_peak_memory()}"
    )


def _peak_memory() -> str:
    import torch

    if torch.cuda.is_available():
        return f"{torch.cuda.max_memory_allocated() / 2**30:.2f} GiB on the GPU"
    return f"{resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 2**20:.2f} GiB"
