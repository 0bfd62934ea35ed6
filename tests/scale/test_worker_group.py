"""Trials of several workers: the numbers of one, lost workers, and resources that come back."""

from __future__ import annotations

from pathlib import Path

import psutil
import pytest

import famus_ray as fr
from famus_ray.records.ledger import read_events
from famus_ray.scale.study import TrialNews, run_study
from famus_ray.scale.workers import train_on_workers
from famus_ray.spaces.space import load_space
from famus_ray.spaces.trial_config import trial_config

pytestmark = [pytest.mark.ray, pytest.mark.faults, pytest.mark.usefixtures("ray_instance")]

# GroupNorm couples no examples, so that the workers' shares add up to the whole exactly.
SPACE = """
preset: digits
settings:
  method: famus
  schedule: {epochs: 3, kind: constant}
  model: {norm: group}
  run: {threads: 1}
  study: {trials: 4, grace_epochs: 1, reduction_factor: 2}
space:
  optimiser.lr: {type: float, low: 1.0e-3, high: 1.0e+30, log: true}
  model.widths: {type: choice, values: [[8, 8, 16]]}
  data.meta_per_class: {type: choice, values: [10, 60]}
  data.validation_fraction: {type: choice, values: [0.1, 0.6]}  # and 60: more than there are
points:
  - {optimiser.lr: 0.02, model.widths: "[8, 8, 16]",
     data.meta_per_class: 10, data.validation_fraction: 0.1}
  - {optimiser.lr: 0.001, model.widths: "[8, 8, 16]",
     data.meta_per_class: 10, data.validation_fraction: 0.1}
  - {optimiser.lr: 1.0e+29, model.widths: "[8, 8, 16]",
     data.meta_per_class: 10, data.validation_fraction: 0.1}
  - {optimiser.lr: 0.02, model.widths: "[8, 8, 16]",
     data.meta_per_class: 60, data.validation_fraction: 0.6}
"""


@pytest.mark.usefixtures("nothing_left")
def test_trials_of_two_workers(tmp_path: Path, reachable):
    (tmp_path / "two.yaml").write_text(SPACE)
    killed, open_to_others = [], []

    def kill_a_worker_of_the_first(news: TrialNews) -> None:
        open_to_others.extend(reachable(psutil.Process()))
        if news.event == "reported" and news.number == 0 and not killed:
            processes = psutil.Process().children(recursive=True)
            workers = [p for p in processes if "TrialProcess" in "".join(p.cmdline())]
            assert len(workers) == 2
            killed.append(workers[1])
            workers[1].kill()

    space = load_space(str(tmp_path / "two.yaml"), ("scale.workers=2",))
    run_study(space, tmp_path / "two", kill_a_worker_of_the_first)
    trials = fr.load_trials(tmp_path / "two")
    assert killed
    assert open_to_others == []  # no other machine could reach a process of it
    assert trials["attempts"].tolist() == [2, 1, 1, 1]
    assert trials["state"].tolist() == ["completed", "pruned", "pruned", "failed"]
    assert trials["epochs"].tolist() == [3, 1, 0, 0]
    assert "data.meta_per_class = 60: class" in trials.loc[3, "error"]
    assert "loss is nan" in trials.loc[2, "error"]
    first = [e for e in read_events(tmp_path / "two/ledger.jsonl") if e.get("trial_id") == "0000"]
    assert [e["epoch"] for e in first if e["event"] == "reported"] in ([1, 2, 3], [1, 3])

    # To the last bit: the same two workers by themselves. That two equal one: test_workers.
    config = trial_config(space.base.config.model_dump(mode="json"), space.points[0])
    train_on_workers(config, tmp_path / "run")
    runs = map(fr.load_curves, (tmp_path / "run", tmp_path / "two/trials/0000"))
    run, trial = (curves[curves["metric"] == "validation/loss"]["value"] for curves in runs)
    assert trial.tolist() == run.tolist()
