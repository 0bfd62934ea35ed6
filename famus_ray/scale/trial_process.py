"""A process that trains one trial after another, alone or in step with its peers."""

from __future__ import annotations

import os
import traceback
from collections.abc import Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import psutil
import ray.util
import torch
import torch.distributed as dist
from torch.distributed import TCPStore  # type: ignore[attr-defined]

from famus_ray.config.trial_config import trial_config
from famus_ray.errors import Diverged
from famus_ray.memory import keep_freed_memory
from famus_ray.scale.cluster import on_devices
from famus_ray.scale.reports import trial_id
from famus_ray.scale.seeded import DatasetCache, SeededRuns
from famus_ray.scale.stopping import machine_fault

__all__ = ["TrialProcess"]


class TrialProcess:
    """Trains a trial an epoch a step, in the run folder trials/<trial id> of the study's folder.

    What goes wrong in the training is a result, and the process serves the next trial. The data
    set stays in its memory from one trial to the next.
    """

    def __init__(self, base: dict[str, Any], folder: str) -> None:
        self._base = base
        self._folder = Path(folder)
        self._cache = DatasetCache()
        self._store: TCPStore | None = None
        keep_freed_memory()

    def meeting_point(self) -> tuple[str, int]:
        """Host and port at which this process and its peers find each other."""
        host = ray.util.get_node_ip_address()
        self._store = TCPStore(host, 0, is_master=True, wait_for_workers=False)
        return host, self._store.port

    def join(self, rank: int, workers: int, host: str, port: int) -> None:
        """Meet the peers: gloo on CPUs, NCCL on GPUs."""
        # Left alone, gloo listens where the host's name leads, which may be this node only.
        for interface in _interfaces(ray.util.get_node_ip_address()):
            os.environ.setdefault("GLOO_SOCKET_IFNAME", interface)
            os.environ.setdefault("NCCL_SOCKET_IFNAME", interface)
        backend = "nccl" if self._base["scale"]["gpus_per_worker"] else "gloo"
        store = self._store or TCPStore(host, port, is_master=False)
        dist.init_process_group(backend, store=store, rank=rank, world_size=workers)

    def begin(self, number: int, settings: Mapping[str, Any]) -> None:
        """The next steps are those of this trial."""
        self._number, self._settings = number, settings
        self._runs: SeededRuns | None = None

    def step(self) -> dict[str, Any]:
        """The trial's `report` after one more epoch; when it is `done`, also how its `end` came."""
        try:
            if self._runs is None:
                self._runs = self._start()
            report = self._runs.step()
        except Diverged as error:
            return {"done": True, "end": "pruned", "error": str(error)}
        except Exception as error:  # noqa: BLE001 - whatever the training raises is its own
            fault = machine_fault(error)
            told = traceback.format_exc() + (f"{fault}\n" if fault else "")
            return {"done": True, "end": "failed", "error": told, "fault": fault is not None}
        done = report.epoch >= self._base["schedule"]["epochs"]
        return {
            "done": done,
            **({"end": "completed"} if done else {}),
            "report": replace(report, node=ray.util.get_node_ip_address()),
        }

    def _start(self) -> SeededRuns:
        run = on_devices(trial_config(self._base, self._settings))
        torch.set_num_threads(run.run.threads or max(1, int(run.scale.cpus_per_worker)))
        return SeededRuns(run, self._folder / "trials" / trial_id(self._number), self._cache)


def _interfaces(address: str) -> list[str]:
    """The network interfaces with this address: one, or none."""
    return [
        name
        for name, found in psutil.net_if_addrs().items()
        if address in (one.address for one in found)
    ]
