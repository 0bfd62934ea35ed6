"""One command that starts a run or a study, goes on with it, and ends with 0 once it is done."""

import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

import famus_ray as fr
from famus_ray.begun import begun_study, of_study
from famus_ray.own_space import space_for

PROGRAM = str(Path(sys.executable).with_name("famus-ray"))
RUN = (
    "train", "digits", "method=ce", "schedule.epochs=6", "run.threads=1", "--name", "job",
    "--or-resume",
)  # fmt: skip


def run(*words: str, folder: Path) -> subprocess.CompletedProcess[str]:
    return subprocess.run(
        [PROGRAM, *words], cwd=folder, capture_output=True, text=True, check=False
    )


def test_the_same_line_starts_a_run_goes_on_with_it_and_finds_it_finished(tmp_path):
    process = subprocess.Popen([PROGRAM, *RUN], cwd=tmp_path, stderr=subprocess.DEVNULL)
    while not (tmp_path / "runs/job/checkpoints/last.pt").is_file():
        assert process.poll() is None
        time.sleep(0.01)
    os.kill(process.pid, signal.SIGKILL)
    process.wait()
    cut = fr.load_curves(tmp_path / "runs/job")["epoch"].max()
    second = run(*RUN, folder=tmp_path)
    assert second.returncode == 0, second.stderr
    assert "going on with" in second.stderr
    assert fr.load_curves(tmp_path / "runs/job")["epoch"].max() == 6 > cut
    third = run(*RUN, folder=tmp_path)
    assert third.returncode == 0
    assert "nothing was left to do: all 6 epochs are there" in third.stderr
    assert [path.name for path in (tmp_path / "runs").iterdir()] == ["job"]
    other = run(*RUN, "optimiser.lr=0.01", folder=tmp_path)
    assert other.returncode == 2
    assert "optimiser.lr is 0.05 there and 0.01 here" in other.stderr


def test_without_a_name_nobody_knows_what_to_go_on_with(tmp_path):
    done = run("train", "digits", "--or-resume", folder=tmp_path)
    assert (done.returncode, "with --name" in done.stderr) == (2, True)


def test_what_images_chose_stays_chosen_on_another_machine(tmp_path, monkeypatch):
    import numpy as np

    rng = np.random.default_rng(0)
    labels = rng.integers(0, 2, 60)
    images = rng.integers(0, 255, (60, 8, 8), dtype=np.uint8)
    call = {
        "data": (images, labels), "or_resume": True, "quiet": True,
        "run": {"root": str(tmp_path), "name": "job", "threads": 1},
        "schedule": {"epochs": 1},
    }  # fmt: skip
    first = fr.train(**call)
    monkeypatch.setattr("torch.cuda.is_available", lambda: True)
    again = fr.train(**call)
    assert again.was_finished
    assert again.config.model == first.config.model


SPACE = """
preset: digits
settings: {method: ce, schedule: {epochs: 1}, study: {trials: 2, concurrent: 1}}
space: {optimiser.lr: {type: float, low: 0.01, high: 0.1}}
"""


@pytest.mark.ray
@pytest.mark.usefixtures("ray_instance")
def test_the_same_call_starts_a_study_and_goes_on_with_more_trials(tmp_path):
    file, study = tmp_path / "space.yaml", tmp_path / "runs" / "job"
    file.write_text(SPACE, encoding="utf-8")
    given = ("run.threads=1", "run.name=job", f"run.root={tmp_path / 'runs'}")

    def tune(**more):
        return fr.tune(file, *given, or_resume=True, **more)

    tune()
    ledger = (study / "ledger.jsonl").read_text()
    tune()
    assert "reported" not in (study / "ledger.jsonl").read_text().removeprefix(ledger)
    tune(trials=3)
    assert fr.load_trials(study)["attempts"].tolist() == [1, 1, 1]
    space = space_for(str(file), given)[0]
    assert begun_study(space, str(file)) == study
    with pytest.raises(fr.UserError, match=r"run.seed is 0 there and 5 here"):
        begun_study(space_for(str(file), (*given, "run.seed=5"))[0], str(file))
    other = tmp_path / "other.yaml"
    other.write_text(SPACE.replace("0.01", "0.02"), encoding="utf-8")
    with pytest.raises(fr.UserError, match=r"space.yaml: differs from .*other.yaml"):
        begun_study(space, str(other))


def test_settings_of_the_study_go_along():
    given = ("study.trials=3", "run.seed=1", " study.hours=2", "scale.address=10.0.0.4:6379")
    assert of_study(given) == (given[0], *given[2:])
