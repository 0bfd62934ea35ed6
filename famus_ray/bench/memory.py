"""Peak memory of a step, measured for each variant in a process of its own.

A process does not return memory to the system, so a second variant would be measured wrongly.
"""

from __future__ import annotations

import multiprocessing
import signal
import warnings
from multiprocessing.connection import Connection
from pathlib import Path

import torch

from famus_ray.bench.runner import build_runners
from famus_ray.bench.variants import Setup, Variant
from famus_ray.errors import UserError, first_line

__all__ = ["peak_bytes"]

_ROUNDS = 2  # the first step allocates the optimiser's state


def peak_bytes(setup: Setup, variant: Variant) -> int:
    """The peak memory of a few steps in bytes, minus that of the process before the network.

    Raises:
        UserError: the step failed, perhaps out of memory.
    """
    context = multiprocessing.get_context("spawn")
    receiver, sender = context.Pipe(duplex=False)
    process = context.Process(target=_report_peak, args=(sender, setup, variant), daemon=True)
    process.start()
    sender.close()  # so that the end of the process ends `recv`
    try:
        found = receiver.recv()
    except EOFError:
        found = "killed, out of memory?"
    finally:
        process.kill()
        process.join()
    if isinstance(found, str):
        raise UserError(f"{setup}, {variant.name}: {found}")
    peak: int = found
    return peak


def _report_peak(sender: Connection, setup: Setup, variant: Variant) -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # the parent process handles Ctrl-C
    warnings.simplefilter("ignore")
    try:
        sender.send(_peak(setup, variant))
    except Exception as error:  # noqa: BLE001 - reported to the parent process
        sender.send(first_line(error))


def _peak(setup: Setup, variant: Variant) -> int:
    torch.randn(64, 64).mm(torch.randn(64, 64))  # allocates the libraries' buffers beforehand
    on_gpu = setup.device == "cuda"
    idle = 0 if on_gpu else _resident_bytes("VmRSS")
    (runner,) = build_runners(setup, [variant])
    for _ in range(_ROUNDS):
        runner.round()
    return torch.cuda.max_memory_allocated() if on_gpu else _resident_bytes("VmHWM") - idle


def _resident_bytes(field: str) -> int:
    """Resident memory of this process in bytes: VmRSS for the current one, VmHWM for the peak.

    getrusage's maximum cannot be used: a process inherits it from its parent.
    """
    status = Path("/proc/self/status").read_text()
    line = next(row for row in status.splitlines() if row.startswith(f"{field}:"))
    return int(line.split()[1]) * 1024
