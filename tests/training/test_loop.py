from __future__ import annotations

import os
import shutil
import signal
import subprocess
import sys
import time
from dataclasses import replace
from pathlib import Path

import pandas as pd
import pytest
import torch

import famus_ray as fr
from famus_ray.config import resolve
from famus_ray.errors import Diverged
from famus_ray.records.run_folder import RunFolder
from famus_ray.records.tables import SAMPLES, read_table, write_table
from famus_ray.training.loop import epochs

COMMAND = Path(sys.executable).with_name("famus-ray")
SMALL = (
    "model.widths=[8,8,16]", "schedule.epochs=6", "run.threads=1", "schedule.kind=step",
    "schedule.milestones=[3]", "meta.lambda2=0.1",
)  # fmt: skip


def numbers(curves: pd.DataFrame) -> pd.DataFrame:
    """The curves without what a clock measured."""
    kept = curves[~curves["metric"].str.startswith("time/")]
    return kept[["epoch", "metric", "value"]].reset_index(drop=True)


def weights(run: Path) -> dict[str, torch.Tensor]:
    state = torch.load(run / "checkpoints" / "last.pt", weights_only=True)
    return {**state["model"], **state["step"].get("head", {}), **state["step"].get("gates", {})}


def assert_same_run(a: Path, b: Path) -> None:
    pd.testing.assert_frame_equal(numbers(fr.load_curves(a)), numbers(fr.load_curves(b)))
    mine, theirs = weights(a), weights(b)
    assert mine.keys() == theirs.keys()
    assert all(torch.equal(mine[name], theirs[name]) for name in mine)
    pd.testing.assert_frame_equal(fr.load_samples(a), fr.load_samples(b))


@pytest.fixture(scope="module")
def uninterrupted(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("runs")
    return fr.train("digits", *SMALL, f"run.root={root}", "run.name=whole").path


def test_a_run_that_is_stopped_and_resumed_equals_the_uninterrupted(
    tmp_path: Path, uninterrupted: Path
):
    """Killed, then resumed and stopped by Ctrl-C, then resumed."""
    cut = tmp_path / "cut"
    begin = [str(COMMAND), "train", "digits", *SMALL, f"run.root={tmp_path}", "--name", "cut"]
    resume = [str(COMMAND), "resume", str(cut)]
    for how, command, epoch in ((signal.SIGKILL, begin, 2), (signal.SIGINT, resume, 4)):
        process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
        while process.poll() is None and not reached(cut, epoch):
            time.sleep(0.01)
        process.send_signal(how)
        _, errors = process.communicate(timeout=300)
        assert process.returncode == (-signal.SIGKILL if how == signal.SIGKILL else 1)
        assert len(fr.load_curves(cut)["epoch"].unique()) < 6, "ended before the signal"
    assert f"go on with: famus-ray resume {cut}" in errors
    fr.resume(cut)
    assert_same_run(cut, uninterrupted)


def test_a_run_begun_by_a_version_without_neighbours_goes_on(tmp_path: Path):
    config = resolve("digits", (*SMALL, "schedule.epochs=8")).config
    folder = RunFolder(tmp_path / "run")
    reports = epochs(config, folder)
    while next(reports).epoch < 7:
        pass
    reports.close()
    old = read_table(folder.samples, SAMPLES).drop(columns=["p_label", "rival", "p_rival"])
    columns = {name: SAMPLES.columns[name] for name in old}
    write_table(folder.samples, replace(SAMPLES, version=2, columns=columns), old)
    list(epochs(config, folder))
    samples = fr.load_samples(folder.path)
    assert sorted(samples["epoch"].unique()) == [7, 8]
    assert samples["p_label"].between(0, 1).all()
    assert list(samples) == list(SAMPLES.columns)
    assert len(fr.load_labels(folder.path)) == samples["id"].nunique()


@pytest.mark.parametrize("how", [signal.SIGTERM, signal.SIGHUP])  # Ctrl-C: above
def test_a_signal_ends_a_run_calmly_and_a_second_one_changes_nothing(tmp_path: Path, how):
    more = (*SMALL, "schedule.epochs=100000", "method=ce", f"run.root={tmp_path}")
    command = [str(COMMAND), "train", "digits", *more, "--name", "my run"]
    process = subprocess.Popen(command, stderr=subprocess.PIPE, text=True)
    while (
        process.poll() is None and not (tmp_path / "my run" / "checkpoints" / "last.pt").is_file()
    ):
        time.sleep(0.01)
    process.send_signal(how)
    time.sleep(0.1)
    process.send_signal(how)
    _, errors = process.communicate(timeout=300)
    assert process.returncode == 1
    first, *epochs, empty, last = errors.splitlines()
    assert first == f"training ce on digits for 100000 epochs in {tmp_path / 'my run'}"
    assert all(line.startswith("my run ") for line in epochs)
    assert empty == ""
    assert last == f"interrupted; go on with: famus-ray resume '{tmp_path / 'my run'}'"
    assert not list(tmp_path.rglob("*.tmp"))
    assert not list(tmp_path.rglob(".lock"))


def reached(run: Path, epoch: int) -> bool:
    if not (run / "checkpoints" / "last.pt").is_file():
        return False
    return fr.load_curves(run)["epoch"].max() >= epoch


def test_a_run_from_python_shows_its_progress_unless_it_is_to_be_quiet(tmp_path: Path, capsys):
    short = ("schedule.epochs=1", "model.widths=[8,8,16]", "run.threads=1", f"run.root={tmp_path}")
    fr.train("digits", *short, method="ce")
    assert capsys.readouterr().err.startswith("digits-ce 1/1  loss ")
    fr.train("digits", *short, method="ce", quiet=True)
    assert capsys.readouterr() == ("", "")


def test_the_same_seed_gives_the_same_run_and_another_seed_another(
    tmp_path: Path, uninterrupted: Path
):
    again = fr.train("digits", *SMALL, f"run.root={tmp_path}", "run.name=again").path
    assert_same_run(again, uninterrupted)
    other = fr.train("digits", *SMALL, f"run.root={tmp_path}", "run.seed=1").path
    assert not numbers(fr.load_curves(other)).equals(numbers(fr.load_curves(uninterrupted)))


def test_a_finished_run_holds_all_that_is_promised(uninterrupted: Path):
    names = {path.name for path in uninterrupted.iterdir()}
    promised = {
        "config.yaml",
        "manifest.json",
        "curves.parquet",
        "samples.parquet",
        "labels.parquet",
    }
    assert promised | {"checkpoints"} <= names
    curves = fr.load_curves(uninterrupted)
    metrics = {f"{s}/{q}" for s in ("validation", "test") for q in ("top1", "top5", "loss")}
    assert metrics | {"train/loss", "meta/loss", "gates/open", "train/lr"} <= set(curves["metric"])
    rates = curves[curves["metric"] == "train/lr"]["value"].tolist()
    assert rates == pytest.approx([0.05] * 3 + [0.005] * 3)
    assert not list(uninterrupted.rglob("*.tmp"))


def test_a_run_whose_last_checkpoint_is_gone_is_not_begun_anew(tmp_path: Path, uninterrupted: Path):
    run = shutil.copytree(uninterrupted, tmp_path / "run")
    (run / "samples.parquet").unlink()
    (run / "checkpoints" / "last.pt").unlink()
    with pytest.raises(fr.UserError, match=r"curves reach epoch 6, but .*last.pt is gone"):
        fr.resume(run)
    assert fr.load_curves(run)["epoch"].max() == 6


def test_divergence_stops_with_the_last_good_checkpoint(tmp_path: Path):
    with pytest.raises(Diverged, match="epoch"):
        fr.train("digits", *SMALL, "optimiser.lr=1e30", f"run.root={tmp_path}", "run.name=nan")
    curves = tmp_path / "nan" / "curves.parquet"
    assert not curves.exists() or fr.load_curves(curves.parent)["value"].notna().all()


def test_training_learns_to_distrust_wrong_labels(tmp_path: Path):
    """The point of it all: on 60 % noise, weights tell wrong labels from right ones."""
    from sklearn.metrics import roc_auc_score

    run = fr.train(
        "digits", "noise.rate=0.6", "schedule.epochs=12", f"run.root={tmp_path}", "run.threads=1"
    )
    samples = fr.load_samples(run.path)
    right = samples["label"] == samples["true_label"]
    assert roc_auc_score(right, samples["weight"]) > 0.9
    assert roc_auc_score(right, samples["p_clean"]) > 0.9
    assert run.summary.best > 0.8


def test_the_loop_needs_no_ray(tmp_path: Path):
    code = (
        "import sys, famus_ray as fr\n"
        f"fr.train('digits', 'schedule.epochs=1', 'method=ce', 'run.root={tmp_path}')\n"
        "assert 'ray' not in sys.modules, 'ray was imported'\n"
    )
    subprocess.run([sys.executable, "-c", code], check=True, env={**os.environ})
