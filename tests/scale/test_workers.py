from __future__ import annotations

import os
import signal
import subprocess
import sys
import threading
import time
from contextlib import suppress
from dataclasses import dataclass, field
from pathlib import Path

import numpy as np
import psutil
import pytest
import torch

import famus_ray as fr
from famus_ray.config import resolve
from famus_ray.errors import Diverged, UserError
from famus_ray.scale.workers import train_on_workers
from famus_ray.training.learner import new_learner
from famus_ray.training.loop import checked_data

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_instance")]

# GroupNorm couples no examples, so that the workers' shares add up to the whole exactly.
# Ray's workers train in float32: their sums differ from one process's by 1e-7, by 1e-5 where a
# gradient nearly cancels. In twenty steps at this rate (times any curvature well below 1) that does
# not grow. A share left out or counted twice moves the weights elsewhere by a tenth and more.
SETTINGS = (
    "model.norm=group", "model.widths=[8,8,16]", "schedule.epochs=10", "run.threads=1",
    "run.batch_size=512", "optimiser.lr=0.001",
)  # fmt: skip
BOUND = 1e-2


def losses(path: Path) -> list[float]:
    curves = fr.load_curves(path)
    return curves[curves["metric"] == "validation/loss"]["value"].tolist()


@dataclass
class Watched:
    """A run of two workers in one piece, and what was seen at each of its epochs."""

    path: Path
    epochs: list[int] = field(default_factory=list)
    processes: set[str] = field(default_factory=set)
    reachable: list[str] = field(default_factory=list)


@pytest.fixture(scope="module")
def watched(tmp_path_factory, reachable) -> Watched:
    run = Watched(tmp_path_factory.mktemp("watched") / "two")

    def look(report) -> None:
        run.epochs.append(report.epoch)
        for process in psutil.Process().children(recursive=True):
            with suppress(psutil.NoSuchProcess):
                run.processes.add(process.name())
        run.reachable.extend(reachable(psutil.Process()))

    train_on_workers(resolve("digits", [*SETTINGS, "scale.workers=2"]).config, run.path, look)
    return run


def test_no_other_machine_can_reach_a_run_of_two_workers(watched: Watched):
    assert any("TrainWorker" in name for name in watched.processes)  # they were there
    assert watched.reachable == []


def test_two_workers_equal_one(tmp_path: Path, watched: Watched):
    assert watched.epochs == [*range(1, 11)]
    alone = fr.train("digits", *SETTINGS, f"run.root={tmp_path}", "run.name=alone").path
    assert losses(watched.path) == pytest.approx(losses(alone), rel=1e-4)
    a, b = (
        torch.load(path / "checkpoints" / "last.pt", weights_only=True)["model"]
        for path in (alone, watched.path)
    )
    config = resolve("digits", SETTINGS).config
    begun = new_learner(config, checked_data(config), torch.device("cpu")).model.state_dict()
    for name in a:
        moved = (a[name] - begun[name]).norm()
        assert moved > 0
        assert (b[name] - a[name]).norm() <= BOUND * moved, name


def test_a_killed_worker_is_replaced_and_the_run_equals_the_undisturbed(
    tmp_path: Path, watched: Watched
):
    path = tmp_path / "killed"
    config = resolve("digits", [*SETTINGS, "scale.workers=2"]).config
    killed = []

    def kill_one() -> None:
        while not (path / "checkpoints" / "last.pt").is_file():
            time.sleep(0.01)
        workers = [
            p for p in psutil.Process().children(recursive=True) if "RayTrainWorker" in p.name()
            or any("RayTrainWorker" in word for word in p.cmdline())
        ]  # fmt: skip
        os.kill(workers[-1].pid, signal.SIGKILL)
        killed.append(workers[-1].pid)

    killer = threading.Thread(target=kill_one)
    killer.start()
    train_on_workers(config, path)
    killer.join()
    assert killed
    assert len(losses(path)) == 10
    assert losses(path) == losses(watched.path)


def test_more_workers_than_cpus_are_refused(tmp_path: Path):
    with pytest.raises(UserError, match=r"8 workers x 1 CPU need 8 CPUs, there are 2"):
        fr.train("digits", "scale.workers=8", f"run.root={tmp_path}", "run.name=much")
    assert not (tmp_path / "much").exists()


def test_a_mistake_inside_the_workers_is_one_clear_message(tmp_path: Path):
    overrides = ("scale.workers=2", "model.widths=[4]", f"run.root={tmp_path}")
    with pytest.raises(UserError, match=r"model.widths = \[4\]: preact_resnet8 has 3 stages"):
        fr.train("digits", *overrides)


def test_divergence_ends_the_run_at_once(tmp_path: Path):
    overrides = ("scale.workers=2", "optimiser.lr=1e30", f"run.root={tmp_path}")
    with pytest.raises(Diverged, match="train/loss is nan"):
        fr.train("digits", *SETTINGS, *overrides)


def test_the_command_refuses_more_workers_than_the_machine_has(tmp_path: Path):
    command = Path(sys.executable).with_name("famus-ray")
    arguments = ["train", "digits", "--workers", "64", f"run.root={tmp_path}"]
    finished = subprocess.run([command, *arguments], capture_output=True, text=True, check=False)
    assert finished.returncode == 2
    assert "64 workers x 1 CPU need 64 CPUs" in finished.stderr
    assert "Traceback" not in finished.stderr
    assert list(tmp_path.iterdir()) == []


@pytest.mark.faults
def test_a_signal_leaves_a_run_of_two_workers_that_resume_finishes(
    tmp_path: Path, watched: Watched
):
    run = tmp_path / "cut"
    command = [Path(sys.executable).with_name("famus-ray"), "train", "digits", *SETTINGS]
    command += ["--workers", "2", f"run.root={tmp_path}", "--name", "cut"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while process.poll() is None and not epochs_of(run):
        time.sleep(0.02)
    process.send_signal(signal.SIGTERM)  # Ctrl-C in a study: test_study
    time.sleep(0.1)
    process.send_signal(signal.SIGTERM)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1, errors
    assert errors.endswith(f"\ninterrupted; go on with: famus-ray resume {run}\n")
    assert "Traceback" not in errors
    assert "***" not in errors  # nor a stack of Ray's
    assert 1 <= epochs_of(run) < 10
    fr.resume(run)
    assert losses(run) == losses(watched.path)


def epochs_of(run: Path) -> int:
    """How far its last checkpoint is; the curves may be an epoch ahead."""
    if not (run / "checkpoints" / "last.pt").is_file():
        return 0
    return int(torch.load(run / "checkpoints" / "last.pt", weights_only=True)["epoch"])


def test_two_workers_of_the_pipeline_equal_one_through_a_division(tmp_path: Path):
    """Two networks, a warm-up epoch, a division, and an epoch of mixed batches."""
    settings = (
        "model.norm=group", "model.widths=[8,8,16]", "schedule.epochs=2", "pipeline.warmup=1",
        "run.threads=1", "optimiser.lr=0.02", "method=famus", "meta.source=pseudo_clean",
        "meta.lambda2=0.1",
    )  # fmt: skip
    alone = fr.train("digits", *settings, f"run.root={tmp_path}", "run.name=alone").path
    config = resolve("digits", [*settings, "scale.workers=2"]).config
    train_on_workers(config, tmp_path / "two")
    a, b = (
        torch.load(path / "checkpoints" / "last.pt", weights_only=True)
        for path in (alone, tmp_path / "two")
    )
    for mine, theirs in ((a, b), (a["peer"], b["peer"])):
        for part in (lambda s: s["model"], lambda s: s["step"]["head"]):
            wanted, found = (
                torch.cat([t.flatten() for t in part(s).values()]) for s in (mine, theirs)
            )
            assert (found - wanted).norm() / wanted.norm() <= 1e-4
    samples = [fr.load_samples(path) for path in (alone, tmp_path / "two")]
    assert samples[0]["prediction"].equals(samples[1]["prediction"])
    assert np.allclose(samples[0]["p_clean"], samples[1]["p_clean"], rtol=1e-3, atol=1e-4)
