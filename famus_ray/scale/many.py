"""Several runs at once, as Ray tasks."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import ray

from famus_ray.config.schema import Config
from famus_ray.scale.capacity import check_fits
from famus_ray.scale.cluster import cluster, on_devices
from famus_ray.scale.run import run_config

__all__ = ["train_many"]


def train_many(
    runs: Sequence[tuple[Config, Path]], on_done: Callable[[Path], None] = lambda path: None
) -> None:
    """Trains each config in its folder, as many at once as the cluster can hold.

    The first run that fails ends all of them.

    Args:
        runs: (config, folder) of each run; the configs have one worker and no address.
        on_done: called with the folder of each run that ends.

    Raises:
        UserError: the cluster cannot hold one run.
    """
    scale = runs[0][0].scale
    with cluster(scale):
        check_fits(scale)
        task = ray.remote(_train).options(
            num_cpus=scale.cpus_per_worker, num_gpus=scale.gpus_per_worker, max_retries=2
        )
        waiting = {
            task.remote(config.model_dump(mode="json"), str(path.absolute())): path
            for config, path in runs
        }
        try:
            while waiting:
                (done,), _ = ray.wait(list(waiting))
                ray.get(done)
                on_done(waiting.pop(done))
        finally:
            for running in waiting:
                ray.cancel(running, force=True)


def _train(config: dict[str, object], path: str) -> None:
    import torch

    parsed = on_devices(Config.model_validate(config))
    torch.set_num_threads(parsed.run.threads or max(1, int(parsed.scale.cpus_per_worker)))
    run_config(parsed, Path(path))
