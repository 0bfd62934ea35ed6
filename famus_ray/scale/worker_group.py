"""The processes of a trial that trains on several workers."""

from __future__ import annotations

from collections.abc import Mapping
from typing import Any

import ray
from ray.util.scheduling_strategies import PlacementGroupSchedulingStrategy

from famus_ray.config.schema import ScaleConfig
from famus_ray.scale.parcel import Parcel

__all__ = ["WorkerGroup", "bundles"]

_MEET_WITHIN = 120.0  # seconds
_LOST_WITHIN = 15.0  # seconds until Ray notices a lost worker, after the other workers have


class WorkerGroup:
    """The processes of a trial, one in each bundle of its placement group.

    It has the interface of one `TrialProcess`; its reports are the first worker's. The processes
    train one trial after another and end with Ray Tune's placement group.
    """

    def __init__(self, base: dict[str, Any], folder: str, parcel: Parcel) -> None:
        self._base = base
        self._study = base, folder, parcel
        self._trial: tuple[int, Mapping[str, Any]]
        self._workers: list[Any] = []

    def begin(self, number: int, settings: Mapping[str, Any]) -> None:
        """Makes this trial the one that the next steps train."""
        self._trial = number, settings
        for worker in self._workers:
            worker.begin.remote(*self._trial)

    def step(self) -> dict[str, Any]:
        """Trains one more epoch and returns its result, as `TrialProcess.step`.

        Raises:
            RayActorError: a worker was lost. The others wait for it until the group ends.
            RuntimeError: the workers cannot reach each other.
        """
        if not self._workers:
            self._start()
        first, *_ = running = [worker.step.remote() for worker in self._workers]
        failed = None
        while running:
            # A worker fails from the loss of another one before Ray notices the loss.
            done, running = ray.wait(running, timeout=_LOST_WITHIN if failed else None)
            if not done:
                break
            result: dict[str, Any] = ray.get(done[0])
            failed = failed or (result if result.get("end") == "failed" else None)
            if failed and not failed.get("left"):
                break  # the other workers would wait for this one
        if failed:
            self._stop()
        return failed or dict(ray.get(first))

    def _start(self) -> None:
        from famus_ray.scale.trial_process import TrialProcess

        scale = ScaleConfig.model_validate(self._base["scale"])
        process = ray.remote(TrialProcess)
        self._workers = [
            process.options(
                num_cpus=scale.cpus_per_worker,
                num_gpus=scale.gpus_per_worker,
                scheduling_strategy=PlacementGroupSchedulingStrategy(
                    ray.util.get_current_placement_group(), placement_group_bundle_index=rank
                ),
            ).remote(*self._study)
            for rank in range(scale.workers)
        ]
        host, port = ray.get(self._workers[0].meeting_point.remote())
        joined = [
            worker.join.remote(rank, scale.workers, host, port)
            for rank, worker in enumerate(self._workers)
        ]
        try:
            ray.get(joined, timeout=_MEET_WITHIN)
        except ray.exceptions.GetTimeoutError as error:
            raise RuntimeError(
                f"the workers of the trial did not reach each other at {host} in "
                f"{_MEET_WITHIN:.0f} s; GLOO_SOCKET_IFNAME and NCCL_SOCKET_IFNAME, set where the "
                "nodes are started, choose the network"
            ) from error
        self.begin(*self._trial)

    def _stop(self) -> None:
        for worker in self._workers:
            ray.kill(worker)
        self._workers = []


def bundles(scale: ScaleConfig) -> list[dict[str, float]]:
    """The bundles of a trial's placement group: one per worker, on any nodes.

    A single worker is the trial's actor itself. With several, the actor has a bundle of its own
    without resources, as it only waits.
    """
    worker = {"CPU": scale.cpus_per_worker, "GPU": scale.gpus_per_worker}
    return [worker] if scale.workers == 1 else [{}, *[worker] * scale.workers]
