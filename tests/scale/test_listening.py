"""What listens while Ray trains: nothing that another machine could reach."""

from __future__ import annotations

from collections.abc import Callable
from pathlib import Path

import psutil
import pytest

from famus_ray.config import resolve
from famus_ray.config.space import load_space
from famus_ray.scale.study import run_study
from famus_ray.scale.workers import train_on_workers

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_instance")]

TINY = ("model.norm=group", "model.widths=[8,8,16]", "run.threads=1", "scale.workers=2")


def test_a_run_of_two_workers_is_out_of_reach_of_other_machines(
    tmp_path: Path, reachable: Callable[[psutil.Process], list[str]]
):
    found, processes = [], set()

    def look(report) -> None:
        found.extend(reachable(psutil.Process()))
        processes.update(p.name() for p in psutil.Process().children(recursive=True))

    config = resolve("digits", [*TINY, "schedule.epochs=3"]).config
    train_on_workers(config, tmp_path / "two", look)
    assert any("TrainWorker" in name for name in processes)  # it looked while they were there
    assert found == []


def test_a_study_of_two_workers_is_out_of_reach_of_other_machines(
    tmp_path: Path, reachable: Callable[[psutil.Process], list[str]]
):
    found, processes = [], set()

    def look(news) -> None:
        if news.event == "reported":
            found.extend(reachable(psutil.Process()))
            processes.update(p.name() for p in psutil.Process().children(recursive=True))

    space = load_space("quick", (*TINY, "study.trials=1", "study.scheduler=none"))
    run_study(space, tmp_path / "study", look)
    assert any("TrialProcess" in name for name in processes)
    assert found == []
