"""The fixed cost of a trial: (time of the study - time of its training) / trials, ours and stock
Ray Tune's, measured in one run; and a study of many trivial trials.

    python benchmarks/study_cost.py [trials]
"""

from __future__ import annotations

import os
import resource
import sys
import tempfile
import time
from pathlib import Path

from famus_ray.config.schema import ScaleConfig
from famus_ray.config.space import load_space
from famus_ray.ledger import trials_table
from famus_ray.scale.cluster import cluster
from famus_ray.scale.study import run_study


def main(trials: int = 24) -> None:
    with tempfile.TemporaryDirectory() as root, cluster(ScaleConfig()) as resources:
        at_once = int(resources["CPU"])
        ours(Path(root) / "first", root, at_once)  # the imports of the first are not counted
        wall, training = ours(Path(root) / "study", root, trials)
        show("famus-ray tune", wall, training, trials, at_once)
        wall, training = stock(Path(root) / "stock", trials)
        show("stock Ray Tune", wall, training, trials, at_once)
    peak = resource.getrusage(resource.RUSAGE_SELF).ru_maxrss / 1024
    print(f"peak memory of the driver {peak:.0f} MB")


def ours(path: Path, root: str, trials: int) -> tuple[float, float]:
    space = load_space(
        "quick",
        (f"run.root={root}", f"study.trials={trials}", "schedule.epochs=1", "run.threads=1",
         "study.scheduler=none", "model.widths=[4,4,8]"),
    )  # fmt: skip
    began = time.perf_counter()
    run_study(space, path)
    return time.perf_counter() - began, float(trials_table(path / "ledger.jsonl")["seconds"].sum())


def stock(path: Path, trials: int) -> tuple[float, float]:
    """The same run as a function of Tune's, each trial in a process of its own."""
    from ray import tune
    from ray.tune.search.optuna import OptunaSearch

    base = load_space("quick", ("schedule.epochs=1", "run.threads=1", "model.widths=[4,4,8]")).base

    def objective(settings: dict[str, float]) -> None:
        import torch

        from famus_ray.loop import epochs
        from famus_ray.run_folder import RunFolder
        from famus_ray.scale.trial_process import trial_config

        torch.set_num_threads(1)
        config = trial_config(base.config.model_dump(mode="json"), settings)
        folder = RunFolder(path / "trials" / tune.get_context().get_trial_id())
        began = time.perf_counter()
        for report in epochs(config, folder):
            tune.report(
                {"value": report.metrics["validation/top1"], "seconds": time.perf_counter() - began}
            )

    results = tune.Tuner(
        tune.with_resources(objective, {"CPU": 1}),
        param_space={
            "meta.lr": tune.loguniform(1e-4, 1e-2), "optimiser.lr": tune.loguniform(1e-2, 0.2)
        },
        tune_config=tune.TuneConfig(
            search_alg=OptunaSearch(seed=0), metric="value", mode="max", num_samples=trials
        ),
        run_config=tune.RunConfig(storage_path=str(path), verbose=0),
    )  # fmt: skip
    began = time.perf_counter()
    grid = results.fit()
    return time.perf_counter() - began, sum(r.metrics["seconds"] for r in grid)


def show(name: str, wall: float, training: float, trials: int, at_once: int) -> None:
    fixed = (wall * at_once - training) / trials
    print(
        f"{name}: {trials} trials, {wall:.1f} s, {training / trials:.2f} s of training a trial, "
        f"{fixed:.2f} s beside it on one of {at_once} cores (load {os.getloadavg()[0]:.1f})",
        flush=True,
    )


if __name__ == "__main__":
    main(*map(int, sys.argv[1:]))
