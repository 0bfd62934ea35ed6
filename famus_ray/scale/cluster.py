"""The Ray cluster of a command: a local instance of its own, or an existing cluster."""

from __future__ import annotations

import logging
import os
import signal
import threading
import warnings
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from pathlib import Path

from famus_ray.config.schema import Config, ScaleConfig
from famus_ray.scale.join import joined
from famus_ray.scale.local_ray import local_ray
from famus_ray.signals import ask_to_end, heed_again

__all__ = [
    "QUIET",
    "available_cpus",
    "cluster",
    "ctrl_c",
    "local_resources",
    "on_devices",
    "ray_log",
]

QUIET = {
    "RAY_AIR_NEW_OUTPUT": "0",
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.3",  # seconds until a finished worker is noticed
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # ledger and curves already hold what they log
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # `ctrl_c` handles Ctrl-C
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "100000",  # Tune's snapshots are not used
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",  # `Capacity` limits the trials that wait for nodes
}


def available_cpus() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def local_resources() -> dict[str, float]:
    """The resources of a local Ray of this process, by Ray's names."""
    import torch

    return {"CPU": float(available_cpus()), "GPU": float(torch.cuda.device_count())}


@contextmanager
def cluster(scale: ScaleConfig) -> Iterator[None]:
    """Inside, this process is connected to Ray; a local instance stops at the end.

    It uses a Ray that this process has already initialised, else the cluster at `scale.address`,
    else it starts a local instance that no other command can join.

    Raises:
        UserError: no cluster answers at the address, or a local one has too little disk space.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    if scale.address is None:  # nobody takes this machine away with notice; it saves a process
        os.environ.setdefault("RAY_TRAIN_ENABLE_PREEMPTION_WATCHER", "0")
    warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
    import ray

    if ray.is_initialized():
        yield
        return
    with local_ray(available_cpus()) if scale.address is None else joined(scale.address):
        heed_again()  # Ray's start replaces the handler of SIGTERM by one that prints a stack
        yield


@contextmanager
def ctrl_c() -> Iterator[None]:
    """Inside, Ctrl-C raises KeyboardInterrupt; afterwards its handler is as before.

    Ray Train raises SystemExit instead and does not restore the handler.
    """
    is_main = threading.current_thread() is threading.main_thread()
    before = signal.getsignal(signal.SIGINT) if is_main else None
    try:
        yield
    except SystemExit as error:
        ask_to_end()
        raise KeyboardInterrupt from error
    finally:
        if is_main:
            signal.signal(signal.SIGINT, before)


@contextmanager
def ray_log(path: Path) -> Iterator[None]:
    """Inside, Ray's messages go to the file `path` instead of the terminal."""
    import ray._private.worker as ray_worker

    logger = logging.getLogger("ray")
    kept, propagated = logger.handlers[:], logger.propagate
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(path, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.handlers, logger.propagate = [handler], False
    # Ray prints its messages on lost nodes, whatever its log level.
    printed = ray_worker.print_to_stdstream
    ray_worker.print_to_stdstream = lambda message, **_: logger.error("\n".join(message["lines"]))
    try:
        yield
    finally:
        ray_worker.print_to_stdstream = printed
        logger.handlers, logger.propagate = kept, propagated
        with suppress(OSError):  # the disk is full
            handler.close()


class _LogFile(logging.FileHandler):
    def handleError(self, record: logging.LogRecord) -> None:  # noqa: N802 - logging's name
        """Ignores errors: a log on a full disk needs no stack trace on the terminal."""


def on_devices(config: Config) -> Config:
    """The config for a process of Ray: on the CPU if its workers have no GPU.

    Ray hides no GPU from a process that asked for none: all such processes would use the first.
    """
    if config.scale.gpus_per_worker:
        return config
    return config.model_copy(update={"run": config.run.model_copy(update={"device": "cpu"})})
