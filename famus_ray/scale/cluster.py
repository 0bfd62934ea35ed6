"""The Ray cluster of a command: a local instance of its own, or one to join."""

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
    "RAY_TRAIN_HEALTH_CHECK_INTERVAL_S": "0.3",  # how soon a finished worker is noticed
    "TUNE_DISABLE_AUTO_CALLBACK_LOGGERS": "1",  # the ledger and the curves hold all that they write
    "TUNE_DISABLE_SIGINT_HANDLER": "1",  # Ctrl-C is ours to handle
    "RAY_CHDIR_TO_TRIAL_DIR": "0",
    "TUNE_GLOBAL_CHECKPOINT_S": "100000",  # nobody reads Tune's snapshots
    "TUNE_MAX_PENDING_TRIALS_PG": "1000",  # the study says how many trials may wait for nodes
}


def available_cpus() -> int:
    """CPU cores that this process may use."""
    return len(os.sched_getaffinity(0)) if hasattr(os, "sched_getaffinity") else os.cpu_count() or 1


def local_resources() -> dict[str, float]:
    """What a local Ray of this process would have, by Ray's names."""
    import torch

    return {"CPU": float(available_cpus()), "GPU": float(torch.cuda.device_count())}


@contextmanager
def cluster(scale: ScaleConfig) -> Iterator[None]:
    """Ray is there while inside; a local instance ends with the block.

    Joins a Ray that this process has initialised already, else `scale.address`, else
    starts a local one that no other command joins.

    Raises:
        UserError: no cluster answers at the address, or there is no room for a local one.
    """
    for name, value in QUIET.items():
        os.environ.setdefault(name, value)
    warnings.filterwarnings("ignore", category=FutureWarning, module="ray")
    import ray

    if ray.is_initialized():
        yield
        return
    with local_ray(available_cpus()) if scale.address is None else joined(scale.address):
        heed_again()  # Ray's start takes SIGTERM, and prints a stack where it comes
        yield


@contextmanager
def ctrl_c() -> Iterator[None]:
    """Ctrl-C inside is a KeyboardInterrupt, and afterwards what it was before.

    Ray Train turns it into a quiet exit and leaves its handler behind.
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
    """Ray's messages go to the file `path` instead of the terminal, while inside."""
    import ray._private.worker as ray_worker

    logger = logging.getLogger("ray")
    kept, propagated = logger.handlers[:], logger.propagate
    path.parent.mkdir(parents=True, exist_ok=True)
    handler = _LogFile(path, delay=True)
    handler.setFormatter(logging.Formatter("%(asctime)s %(levelname)s %(message)s"))
    logger.handlers, logger.propagate = [handler], False
    # What Ray has to say of lost nodes it prints, whatever its log level.
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
        """Nothing: what a full disk takes of a log needs no stack on the terminal."""


def on_devices(config: Config) -> Config:
    """The config for a process that Ray has given its devices: without GPUs, on the CPU.

    Ray hides no GPU from a process that asked for none; all of them would share the first.
    """
    if config.scale.gpus_per_worker:
        return config
    return config.model_copy(update={"run": config.run.model_copy(update={"device": "cpu"})})
