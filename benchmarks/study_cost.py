"""What a trial costs beside its training, against stock Ray Tune and nested Ray Train.

    python benchmarks/study_cost.py [one] [two] [many] [--trials 24]

one: a trial is one process. Ours, and the same run as a function of stock Ray Tune's.
two: a trial is two processes. Ours, and the same run in a Ray Train nested in Ray Tune.
many: 200 trials that are over at once; does a late trial cost more than an early one?

Fixed cost of a trial: (time of the study - time of its training) / trials, trials one after
another, from the end of the first. Training is all epochs with evaluation and checkpoints.
"""

from __future__ import annotations

import argparse
import os
import tempfile
import time
from collections.abc import Callable
from itertools import pairwise
from pathlib import Path

import psutil
import ray

from famus_ray.records.ledger import trials_table
from famus_ray.scale.cluster import QUIET, available_cpus
from famus_ray.scale.local_ray import LOOPBACK, on_loopback
from famus_ray.scale.study import TrialNews, run_study
from famus_ray.spaces.space import load_space

SETTINGS = (
    "schedule.epochs=1", "run.threads=1", "study.scheduler=none", "model.widths=[4,4,8]"
)  # fmt: skip


class Clock:
    """When trials ended, and how much of the time since the first was training."""

    def __init__(self) -> None:
        self.ends: list[float] = []

    def end(self) -> None:
        self.ends.append(time.perf_counter())

    def show(self, name: str, training: list[float]) -> None:
        count = len(self.ends) - 1
        wall = time.perf_counter() - self.ends[0]
        trained = sum(training) - training[0]
        print(
            f"{name:<28} {count} trials: {wall / count:.2f} s each, {trained / count:.2f} s of "
            f"training, {(wall - trained) / count:.2f} s beside it (load {os.getloadavg()[0]:.1f})",
            flush=True,
        )


def ours(root: Path, name: str, trials: int, *more: str) -> None:
    settings = (*SETTINGS, f"run.root={root}", f"study.trials={trials}", "study.concurrent=1")
    clock, path = Clock(), root / "ours" / name

    def on_trial(news: TrialNews) -> None:
        if news.event == "completed":
            clock.end()

    run_study(load_space("quick", (*settings, *more)), path, on_trial)
    clock.show(name, trials_table(path / "ledger.jsonl")["seconds"].tolist())


def stock(root: Path, name: str, trials: int, *, workers: int = 1) -> None:
    """The same run as a function of Tune's: in a process of its own, or in Ray Train's workers."""
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    clock = Clock()

    class Telling(tune.Callback):
        def on_trial_complete(self, iteration: int, trials: list, trial: object, **_: object):
            clock.end()

    # A nested trial's driver must not take the CPUs that its workers wait for.
    needs = {"CPU": 1} if workers == 1 else {"driver": 1}
    tuner = tune.Tuner(
        tune.with_resources(objective(root / name, workers), needs),
        param_space={
            "meta.lr": tune.loguniform(1e-4, 1e-2),
            "optimiser.lr": tune.loguniform(1e-2, 0.2),
        },
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(seed=0),
            metric="value",
            mode="max",
            num_samples=trials,
            max_concurrent_trials=1,
        ),
        run_config=tune.RunConfig(storage_path=str(root), verbose=0, callbacks=[Telling()]),
    )
    for setting in set(QUIET) - {"RAY_AIR_NEW_OUTPUT"}:
        del os.environ[setting]
    clock.show(name, [result.metrics["seconds"] for result in tuner.fit()])
    os.environ.update(QUIET)


def objective(path: Path, workers: int) -> Callable[[dict[str, float]], None]:
    base = load_space("quick", (*SETTINGS, f"scale.workers={workers}")).base.config.model_dump()

    def train(settings: dict[str, object]) -> tuple[float, float]:
        import torch

        from famus_ray.data.catalog import load_dataset
        from famus_ray.records.run_folder import RunFolder
        from famus_ray.spaces.trial_config import trial_config
        from famus_ray.training.loop import epochs

        torch.set_num_threads(1)
        config = trial_config(base, {k: v for k, v in settings.items() if k != "trial"})
        data = load_dataset(config.data, config.noise, config.run.seed)
        began = time.perf_counter()
        for report in epochs(config, RunFolder(path / str(settings["trial"])), data=data):
            value = report.metrics["validation/top1"]
        return value, time.perf_counter() - began

    def alone(settings: dict[str, float]) -> None:
        from ray import tune

        value, seconds = train({**settings, "trial": tune.get_context().get_trial_id()})
        tune.report({"value": value, "seconds": seconds})

    def nested(settings: dict[str, float]) -> None:
        from ray import tune
        from ray.train import RunConfig, ScalingConfig
        from ray.train.torch import TorchTrainer

        trial = tune.get_context().get_trial_id()
        trainer = TorchTrainer(
            train,
            train_loop_config={**settings, "trial": trial},
            scaling_config=ScalingConfig(num_workers=workers),
            run_config=RunConfig(name=trial, storage_path=str(path)),
        )
        value, seconds = trainer.fit().return_value
        tune.report({"value": value, "seconds": seconds})

    return alone if workers == 1 else nested


def many(root: Path, trials: int = 200) -> None:
    settings = (*SETTINGS, f"run.root={root}", f"study.trials={trials}")
    path, marks = root / "many", [(time.perf_counter(), 0.0, 0.0)]
    began, ended = marks[0][0], 0

    def on_trial(news: TrialNews) -> None:
        nonlocal ended
        ended += news.event == "completed"
        if news.event == "completed" and ended % (trials // 4) == 0:
            marks.append((time.perf_counter(), *memory()))

    run_study(load_space("quick", settings), path, on_trial)
    total = time.perf_counter() - began
    training = trials_table(path / "ledger.jsonl").sort_values("ended")["seconds"].to_numpy()
    at_once, size = available_cpus(), trials // 4
    print(f"{ended} trials in {total:.0f} s (load {os.getloadavg()[0]:.1f})")
    for i, (before, after) in enumerate(pairwise(marks)):
        trained = training[i * size : (i + 1) * size].sum() / size
        each = (after[0] - before[0]) * at_once / size
        print(
            f"quarter {i + 1}: {each:.2f} s a trial on each of {at_once} cores, "
            f"{each - trained:.2f} s beside its training; "
            f"memory of the driver {after[1]:.0f} MB, of the trials {after[2]:.0f} MB"
        )


def memory() -> tuple[float, float]:
    """Resident megabytes of this process, and of the processes that train."""
    me = psutil.Process()
    # ray::RunTrial between two epochs, ray::ResourceTrainable.train in one.
    names = ("Trial", "Trainable")
    children = me.children(recursive=True)
    trials = [p for p in children if any(name in "".join(p.cmdline()[:1]) for name in names)]
    return tuple(sum(p.memory_info().rss for p in ps) / 2**20 for ps in ([me], trials))


def main() -> None:
    arguments = argparse.ArgumentParser(description=__doc__)
    arguments.add_argument("parts", nargs="*", default=["one", "two", "many"])
    arguments.add_argument("--trials", type=int, default=24)
    given = arguments.parse_args()
    os.environ.update(QUIET)
    with on_loopback():
        ray.init(
            address="local", num_cpus=max(2, available_cpus()), resources={"driver": 8},
            log_to_driver=False, _node_ip_address=LOOPBACK, dashboard_host=LOOPBACK,
        )  # fmt: skip
    with tempfile.TemporaryDirectory() as folder:
        root = Path(folder)
        if "one" in given.parts:
            ours(root, "famus-ray tune", given.trials)
            stock(root, "stock Ray Tune", given.trials)
        if "two" in given.parts:
            few = max(3, given.trials // 4)
            ours(root, "famus-ray tune, 2 workers", few, "scale.workers=2")
            stock(root, "Ray Train in Ray Tune, 2", few, workers=2)
        if "many" in given.parts:
            many(root)
    ray.shutdown()


if __name__ == "__main__":
    main()
