from __future__ import annotations

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import psutil
import pytest
import ray
import yaml

import famus_ray as fr
from famus_ray.errors import StudyStopped, UserError
from famus_ray.reading.pareto import pareto_front
from famus_ray.reading.report import write_report
from famus_ray.records.folders import load_config
from famus_ray.records.ledger import FINAL, read_events
from famus_ray.scale.study import TrialNews, new_study_path, resume_study, run_study
from famus_ray.spaces.space import load_space

pytestmark = [pytest.mark.ray, pytest.mark.usefixtures("ray_instance")]

SPACE = """
about: a tiny study with trials that end in every way
preset: digits
settings: {method: famus, schedule: {epochs: 4, kind: constant}, run: {threads: 1}}
space:
  meta.lr: {type: float, low: 1.0e-4, high: 1.0e-2, log: true}
  meta.grouping: {type: choice, values: [tensor, layer]}
  meta.k: {type: int, low: 1, high: 3, when: {meta.grouping: tensor}}
  model.widths: {type: choice, values: [[4, 4, 8]]}
  data.meta_per_class: {type: choice, values: [10, 60]}
  data.validation_fraction: {type: choice, values: [0.1, 0.6]}  # and 60: more than there are
  optimiser.lr: {type: float, low: 1.0e-3, high: 1.0e+30, log: true}
points:
  - {meta.lr: 1.0e-3, meta.grouping: layer, model.widths: "[4, 4, 8]", optimiser.lr: 0.1,
     data.meta_per_class: 10, data.validation_fraction: 0.1}
  - {meta.lr: 1.0e-3, meta.grouping: layer, model.widths: "[4, 4, 8]", optimiser.lr: 1.0e+29,
     data.meta_per_class: 10, data.validation_fraction: 0.1}
  - {meta.lr: 1.0e-3, meta.grouping: layer, model.widths: "[4, 4, 8]", optimiser.lr: 0.1,
     data.meta_per_class: 60, data.validation_fraction: 0.6}
  - {meta.lr: 1.0e-3, meta.grouping: layer, model.widths: "[4, 4, 8]", optimiser.lr: 0.001,
     data.meta_per_class: 10, data.validation_fraction: 0.1}
  - {meta.lr: 1.0e-3, meta.grouping: tensor, meta.k: 2, model.widths: "[4, 4, 8]",
     optimiser.lr: 0.05, data.meta_per_class: 10, data.validation_fraction: 0.1}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory, ray_instance) -> tuple[Path, list[TrialNews]]:
    root = tmp_path_factory.mktemp("studies")
    (root / "tiny.yaml").write_text(SPACE)
    overrides = (f"run.root={root}", "study.trials=6", "study.grace_epochs=1",
                 "study.reduction_factor=2", "study.concurrent=1")  # fmt: skip
    space = load_space(str(root / "tiny.yaml"), overrides)
    path, news = new_study_path(space), []
    run_study(space, path, news.append)
    return path, news


def test_every_trial_is_in_the_table_however_it_ended(study):
    path, _ = study
    trials = fr.load_trials(path).set_index("trial")
    assert len(trials) == 6
    assert trials.loc[0, "state"] == "completed"
    assert trials.loc[0, "epochs"] == 4
    assert trials.loc[1, "state"] == "pruned"  # it diverged
    assert "train/loss is" in trials.loc[1, "error"]
    assert trials.loc[2, "state"] == "failed"
    assert trials.loc[2, "error"].startswith("data.meta_per_class = 60: class")
    assert trials["attempts"].tolist() == [1] * 6  # what is wrong with the settings stays wrong
    assert trials.loc[3, "state"] == "pruned"
    assert trials.loc[3, "epochs"] < 4
    assert pd.isna(trials.loc[0, "param.meta.k"])
    assert trials.loc[4, "param.meta.k"] == 2
    assert trials.loc[trials["epochs"] > 0, "node"].notna().all()
    on_disk = pd.read_parquet(path / "trials.parquet").set_index("trial")
    assert on_disk["state"].tolist() == trials["state"].tolist()


def test_values_and_curves_agree(study):
    path, _ = study
    trials, curves = fr.load_trials(path), fr.load_curves(path)
    accuracy = curves[curves["metric"] == "validation/top1"]
    for trial, rows in accuracy.groupby("trial"):
        row = trials[trials["trial"] == trial].iloc[0]
        assert rows["value"].max() == pytest.approx(row["value"])
        assert rows["epoch"].max() == row["epochs"]


def test_news_come_in_order(study):
    _, news = study
    for number in range(6):
        events = [n.event for n in news if n.number == number]
        assert events[0] == "started"
        assert events[-1] in ("completed", "pruned", "failed")


def test_the_report_shows_the_failed_trial_and_works_offline(study):
    path, _ = study
    page = write_report(path).read_text()
    assert "data.meta_per_class = 60: class" in page
    assert "<script src" not in page
    assert "https://cdn" not in page.split("</script>")[-1]


def test_nothing_is_left_on_the_cluster(study):
    free = ray.available_resources()
    assert free.get("CPU") == ray.cluster_resources()["CPU"]


def test_one_trial_at_a_time_with_the_same_seed_gives_the_same_trials(tmp_path: Path):
    tables = []
    for name in ("a", "b"):
        overrides = (f"run.root={tmp_path}", f"run.name={name}", "study.trials=5",
                     "schedule.epochs=2", "study.grace_epochs=1", "study.concurrent=1",
                     "study.startup_trials=2", "model.widths=[4,4,8]", "run.threads=1")  # fmt: skip
        tables.append(fr.load_trials(fr.tune("famus", *overrides).path))
    columns = [c for c in tables[0] if c.startswith("param.")] + ["state", "value"]
    pd.testing.assert_frame_equal(tables[0][columns], tables[1][columns])


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("scale.cpus_per_worker=3", "need 3 CPUs, there are 2"),
        ("study.metric=validation/topp1", "study.metric"),
        ("scale.workers=4", "4 workers x 1 CPU need 4 CPUs, there are 2"),
        ("scale.autoscaling=true", "a local cluster does not grow"),
        ("data.name=cifar10", "data.root"),
    ],
)
def test_what_cannot_run_is_refused_before_anything_is_written(tmp_path: Path, override, message):
    with pytest.raises(UserError, match=message):
        fr.tune("famus", f"run.root={tmp_path}", override)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.faults
def test_a_signal_leaves_a_study_that_resume_finishes(tmp_path: Path, reachable):
    study, gone = tmp_path / "cut", str(tmp_path / "gone")
    stale = {"RAY_ADDRESS": "127.0.0.1:1", "HOME": gone, "TMPDIR": gone}  # as batch jobs may have
    command = [Path(sys.executable).with_name("famus-ray"), "tune", "quick", "--trials", "3"]
    command += ["--name", "cut", f"run.root={tmp_path}", "run.threads=1", "model.widths=[4,4,8]"]
    process = subprocess.Popen(
        [*command, "study.scheduler=none"],
        stderr=subprocess.PIPE,
        text=True,
        env={**os.environ, **stale},
    )
    while process.poll() is None and not reports_of(study):
        time.sleep(0.02)
    assert reachable(psutil.Process(process.pid)) == []  # by no other machine
    process.send_signal(signal.SIGINT)  # SIGTERM to a run: test_workers
    time.sleep(0.1)
    process.send_signal(signal.SIGINT)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1, errors
    assert errors.endswith(f"\ninterrupted; go on with: famus-ray resume {study}\n")
    assert "Traceback" not in errors
    assert "***" not in errors  # nor a stack of Ray's
    states = set(fr.load_trials(study)["state"])
    assert "interrupted" in states
    assert "running" not in states
    fr.resume(study)
    after = fr.load_trials(study)
    assert after["state"].tolist() == ["completed"] * 3
    assert after["attempts"].max() == 2


def reports_of(study: Path) -> int:
    ledger = study / "ledger.jsonl"
    return ledger.read_text().count('"reported"') if ledger.is_file() else 0


def test_a_study_whose_driver_is_killed_loses_nothing_and_reruns_nothing(tmp_path: Path):
    command = [Path(sys.executable).with_name("famus-ray"), "tune", "quick", "--trials", "4"]
    command += ["--name", "cut", f"run.root={tmp_path}", "run.threads=1", "model.widths=[4,4,8]"]
    process = subprocess.Popen(command, stderr=subprocess.DEVNULL)
    ledger = tmp_path / "cut" / "ledger.jsonl"
    while process.poll() is None and not (ledger.is_file() and "reported" in ledger.read_text()):
        time.sleep(0.02)
    with pytest.raises(UserError, match=rf"another process is running .* process {process.pid} of"):
        fr.resume(tmp_path / "cut")
    process.kill()
    process.wait()
    with ledger.open("a") as file:
        file.write('{"time": "2026-01-01T00:00:00+00:00", "eve')  # as a crash leaves a line
    fr.resume(tmp_path / "cut")
    fr.extend(tmp_path / "cut", trials=1)
    trials = fr.load_trials(tmp_path / "cut")
    assert trials["trial"].tolist() == [0, 1, 2, 3, 4]
    assert set(trials["state"]) <= {"completed", "pruned"}
    events = list(read_events(ledger))
    ends = [e["trial_id"] for e in events if e["event"] in FINAL]
    assert sorted(ends) == [f"{n:04d}" for n in range(5)]
    epochs = [(e["trial_id"], e["epoch"]) for e in events if e["event"] == "reported"]
    assert len(epochs) == len(set(epochs))  # what was reported was not run again


@pytest.mark.faults
def test_a_trial_whose_process_is_killed_goes_on_from_its_checkpoint(tmp_path: Path):
    killed = []

    def kill_once(news: TrialNews) -> None:
        if news.event == "reported" and news.epoch == 2 and not killed:
            me = psutil.Process()
            children = me.children(recursive=True)
            actor = next(p for p in children if "RunTrial" in "".join(p.cmdline()))
            killed.append(actor.pid)
            actor.kill()

    more = (f"run.root={tmp_path}", "study.trials=1", "run.threads=1", "model.widths=[4,4,8]")
    space = load_space("quick", more)
    path = new_study_path(space)
    run_study(space, path, kill_once)
    row = fr.load_trials(path).iloc[0]
    assert (row["state"], row["attempts"], row["epochs"]) == ("completed", 2, 6)
    epochs = [e["epoch"] for e in read_events(path / "ledger.jsonl") if e["event"] == "reported"]
    assert epochs in ([1, 2, 3, 4, 5, 6], [1, 2, 4, 5, 6])  # the third may be done when it dies


def test_two_objectives_have_a_front_in_the_report(tmp_path: Path):
    result = fr.tune(
        "speed_accuracy", f"run.root={tmp_path}", "schedule.epochs=1", "run.threads=1",
        "model.widths=[4,4,8]", "study.constraints=['validation/top1 >= 0.01']", trials=3,
    )  # fmt: skip
    trials = fr.load_trials(result.path)
    assert (trials["cost.time/step"] > 0).all()
    assert trials["excess.validation/top1 >= 0.01"].tolist() == pytest.approx(
        0.01 - trials["value"]
    )
    front = pareto_front(trials)
    assert trials["value"].max() == front["value"].max()
    assert trials["cost.time/step"].min() == front["cost.time/step"].min()
    assert "Pareto front" in write_report(result.path).read_text()


def test_leaders_are_trained_again_with_further_seeds(tmp_path: Path):
    result = fr.tune(
        "quick", f"run.root={tmp_path}", "schedule.epochs=1", "run.threads=1",
        "model.widths=[4,4,8]", "study.leaders=1", "study.leader_seeds=2",
        "run.track=[tensorboard]", trials=2,
    )  # fmt: skip
    trials = fr.load_trials(result.path)
    leader = int(trials.iloc[:2]["value"].argmax())
    assert trials["replicates"].fillna(-1).tolist() == [-1, -1, leader, leader]
    seeds = [load_config(result.path / "trials" / f"{n:04d}")["run"]["seed"] for n in range(4)]
    assert seeds == [0, 0, 1, 2]
    assert result.best_value == pytest.approx(trials["value"][2:].mean())
    assert len(list(result.path.glob("trials/*/tensorboard/events*"))) == 4
    report = write_report(result.path).read_text()
    assert "The leaders, trained again" in report
    assert "run.seed" not in report.split("What matters")[1].split("<h2>")[0]
    fr.resume(result.path, "study.leader_seeds=3")
    assert len(fr.load_trials(result.path)) == 5
    assert load_config(result.path)["study"]["leader_seeds"] == 3  # for whoever goes on with it


def test_a_study_whose_ledger_is_gone_is_not_trained_as_a_run(tmp_path):
    config = load_space("quick").base.config.model_dump(mode="json")
    (tmp_path / "config.yaml").write_text(yaml.safe_dump(config))
    (tmp_path / "space.yaml").write_text(load_space("quick").text)
    (tmp_path / "trials" / "0000").mkdir(parents=True)
    with pytest.raises(UserError, match=r"ledger\.jsonl.* is gone"):
        fr.resume(tmp_path)
    assert {p.name for p in tmp_path.iterdir()} == {"config.yaml", "space.yaml", "trials"}


@pytest.mark.faults
def test_a_full_disk_stops_a_study_that_goes_on_in_an_edited_space(tmp_path: Path):
    def mounted(options: str) -> bool:
        command = ["mount", "-t", "tmpfs", "-o", options, "tmpfs", str(tmp_path)]
        return subprocess.run(command, capture_output=True, check=False).returncode == 0

    if not mounted("size=700k"):
        pytest.skip("left out: a study on a full disk; this user may mount no file system")
    try:
        overrides = (f"run.root={tmp_path}", "schedule.epochs=1", "run.threads=1",
                     "model.widths=[8,8,16]", "study.trials=4")  # fmt: skip
        space, lines = load_space("quick", overrides), []
        path = new_study_path(space)
        with pytest.raises(
            StudyStopped, match=r"where the machine is at fault: .*famus-ray resume"
        ):
            run_study(space, path)
        before = fr.load_trials(path)
        assert "failed" in set(before["state"])
        assert len(before) < 4
        assert mounted("remount,size=60m")
        file = path / "space.yaml"
        file.write_text(file.read_text().replace("high: 1.0e-2", "high: 5.0e-3"))
        resume_study(path, tell=lines.append)
        after = fr.load_trials(path)
        assert set(after["state"]) <= {"completed", "pruned"}
        assert after["param.meta.lr"][: len(before)].equals(before["param.meta.lr"])
        assert (after["param.meta.lr"][len(before) :] <= 5e-3).all()
        assert lines[0].startswith("changed since the study was opened last: meta.lr is 0.0001")
    finally:
        subprocess.run(["umount", "-l", str(tmp_path)], check=True)
