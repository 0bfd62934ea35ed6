"""The cost of a run on this machine, measured on a few of its own steps."""

from __future__ import annotations

import resource
import statistics
import time
from dataclasses import dataclass
from itertools import islice
from typing import TYPE_CHECKING

from famus_ray.config.schema import Config

if TYPE_CHECKING:
    from famus_ray.batch import Batch
    from famus_ray.data.catalog import Dataset

__all__ = ["RunCost", "counted", "describe_cost", "describe_study_cost", "run_cost"]

_STEPS = 4
_MOST_VALUES = 2**21  # of a batch measured on a CPU: 14 images of 224 x 224


@dataclass(frozen=True)
class RunCost:
    """Time, memory and disk of one run on this machine.

    Attributes:
        steps: of one epoch.
        seconds: of all steps, without evaluation.
        parameters: of all networks.
        disk: bytes of its checkpoints: weights, momentum, and the best weights.
        memory: peak memory of this process in bytes; of the GPU, if there is one.
        device: cpu or cuda.
        one_in: it was measured on one row in `one_in` of a batch, and scaled up.
    """

    steps: int
    seconds: float
    parameters: int
    disk: int
    memory: int
    device: str
    one_in: int = 1


def run_cost(config: Config, data: Dataset | None = None) -> RunCost:
    """The cost of a run, measured on four steps of one worker here.

    The steps train a network that is discarded. On a CPU, large batches are measured on one row
    in `RunCost.one_in`, and the result is multiplied by it.

    Args:
        config: the run's settings.
        data: the data set of this config, if it was checked already.

    Raises:
        UserError: settings, data or a model that training would refuse.
    """
    from famus_ray.training.allocator import keep_freed_memory
    from famus_ray.training.loop import checked_data, pick_device, start

    data = data or checked_data(config)
    device = pick_device(config)
    procedure = start(config, data.to(device), device)
    keep_freed_memory()
    learner = procedure.learners[0]
    learner.model.train()
    seconds = []
    pairs, steps = procedure.rehearsal()
    one_in, memory = 1, list[int]()
    for train, meta in islice(pairs, _STEPS):
        if device.type == "cpu":
            one_in = -(-train[0].numel() // _MOST_VALUES)
            every = one_in if memory or one_in == 1 else 2 * one_in  # the first step: half the rows
            train, meta = _thinned(train, every), meta and _thinned(meta, every)
        began = time.perf_counter()
        measured = learner.step(learner.model, learner.optimiser, train, meta)
        float(measured["train/loss"])  # wait for the device
        seconds.append(time.perf_counter() - began)
        memory.append(_peak_memory())
    parameters = sum(p.numel() for one in procedure.learners for p in one.model.parameters())
    all_steps = steps * config.schedule.epochs
    return RunCost(
        steps=steps,
        seconds=statistics.median(seconds[1:] or seconds) * one_in * all_steps,
        parameters=parameters,
        disk=3 * 4 * parameters,
        memory=memory[-1] + (memory[-1] - memory[0]) * 2 * (one_in - 1),
        device=device.type,
        one_in=one_in,
    )


def _thinned(batch: Batch, one_in: int) -> Batch:
    inputs, targets = batch
    return inputs[::one_in], targets[::one_in]


def describe_cost(cost: RunCost, epochs: int) -> str:
    """Steps, memory and hours of a run in one line."""
    return (
        f"cost: {cost.steps} steps x {epochs} epochs = {cost.steps * epochs} steps; "
        f"{cost.parameters / 1e6:.2f} M parameters; about {_span(cost.seconds)} of steps on one "
        f"worker here ({cost.device}), peak memory {cost.memory / 2**30:.2f} GiB{_how(cost)}"
    )


def describe_study_cost(cost: RunCost, runs: int, checkpoints: int) -> str:
    """Hours and disk of a study of `runs` runs in one line.

    Args:
        cost: of one run.
        runs: number of runs.
        checkpoints: number of runs whose checkpoints are kept.
    """
    return (
        f"cost: {counted(runs, 'run')} of about {_span(cost.seconds)} of steps on one worker here "
        f"({cost.device}): at most {_span(runs * cost.seconds)} one after another; "
        f"{checkpoints * cost.disk / 1e6:.0f} MB of checkpoints{_how(cost)}"
    )


def counted(count: int, what: str) -> str:
    """A count with its noun, in the plural unless it is 1: `2 runs`."""
    return f"{count} {what}{'' if count == 1 else 's'}"


def _how(cost: RunCost) -> str:
    return f" (measured on one row in {cost.one_in} of a batch)" if cost.one_in > 1 else ""


def _span(seconds: float) -> str:
    if seconds >= 3600:
        return f"{seconds / 3600:.1f} hours"
    return f"{seconds / 60:.1f} minutes" if seconds >= 120 else f"{seconds:.0f} seconds"


def _peak_memory() -> int:
    import torch

    if torch.cuda.is_available():
        return torch.cuda.max_memory_allocated()
    return resource.getrusage(resource.RUSAGE_SELF).ru_maxrss * 1024  # Linux counts in KiB
