"""A user's own network, method, data and grouping from files outside the package, in processes."""

from __future__ import annotations

import os
import re
import subprocess
import sys
import time
from pathlib import Path

import pytest

import famus_ray as fr
from famus_ray.records.folders import load_manifest

PROGRAM = str(Path(sys.executable).with_name("famus-ray"))
PAGE = (Path(__file__).parents[1] / "docs" / "extending.md").read_text(encoding="utf-8")
FILES = dict(re.findall(r"```python\n# (\w+\.py)\n(.*?)```", PAGE, re.DOTALL))

NETS = """
from torch import nn

class Small(nn.Sequential):
    def __init__(self, classes, channels):
        super().__init__(
            nn.Conv2d(channels, 4, 3), nn.GroupNorm(2, 4), nn.ReLU(), nn.Flatten(),
            nn.Linear(144, classes),
        )
"""
MINE = (
    "data.name=squares:read", "model.name=nets:Small", "run.threads=1", "schedule.kind=constant",
    "noise=symmetric", "noise.rate=0.3", "data.augment=none",
)  # fmt: skip
GROUPED = ("method=famus", "meta.grouping=halves:halves", "meta.k=1")


@pytest.fixture
def folder(tmp_path) -> Path:
    """A folder with the user's files; the page on extending shows them."""
    for name, text in {**FILES, "nets.py": NETS}.items():
        (tmp_path / name).write_text(text, encoding="utf-8")
    return tmp_path


def run(words: list[str], folder: Path) -> str:
    done = subprocess.run(words, cwd=folder, capture_output=True, text=True, check=False)
    assert done.returncode == 0, done.stdout + done.stderr
    return done.stdout + done.stderr


def curves_of(path: Path) -> list[tuple[int, str, float]]:
    frame = fr.load_curves(path)
    kept = frame[~frame["metric"].str.startswith(("time/", "communication/"))]
    return sorted(kept[["epoch", "metric", "value"]].itertuples(index=False, name=None))


def script(text: str, folder: Path, *arguments: str) -> str:
    (folder / "script.py").write_text(text, encoding="utf-8")
    return run([sys.executable, "script.py", *arguments], folder)


def test_a_command_trains_with_them(folder):
    run([PROGRAM, "train", "digits", *MINE, *GROUPED, "schedule.epochs=2", "--name", "a"], folder)
    run([PROGRAM, "train", "digits", *MINE, "method=bootstrap:METHOD", "schedule.epochs=2",
         "--name", "b"], folder)  # fmt: skip
    for name in "ab":
        loss = fr.load_curves(folder / "runs" / name).query("metric == 'train/loss'")["value"]
        assert loss.is_monotonic_decreasing


@pytest.mark.ray
@pytest.mark.faults
def test_two_workers_find_them_and_a_killed_run_goes_on_to_its_end(folder, kill_with_children):
    words = [PROGRAM, "train", "digits", *MINE, *GROUPED, "schedule.epochs=6", "--workers", "2"]
    killed = folder / "runs" / "killed"
    process = subprocess.Popen(
        [*words, "--name", "killed"],
        cwd=folder,
        stdout=subprocess.DEVNULL,
        stderr=subprocess.DEVNULL,
    )
    while not (killed / "checkpoints" / "last.pt").is_file():
        assert process.poll() is None
        time.sleep(0.01)
    kill_with_children(process)
    assert len({epoch for epoch, _, _ in curves_of(killed)}) < 6
    run([PROGRAM, "resume", "killed"], folder)
    losses = fr.load_curves(killed).query("metric == 'train/loss'")
    assert losses["epoch"].tolist() == [*range(1, 7)]
    assert losses["value"].iloc[-1] < losses["value"].iloc[0]


SCRIPT = """
import sys
import numpy as np, timm, torch
from torch import nn
import famus_ray as fr

def layers(classes, channels):
    return nn.Sequential(nn.Flatten(), nn.Linear(64 * channels, classes))

@timm.models.register_model
def of_the_script(pretrained=False, num_classes=2, in_chans=1, **kwargs):
    return layers(num_classes, in_chans)

rng = np.random.default_rng(0)
labels = np.array(["left", "right"])[rng.integers(0, 2, 80)]
images = rng.integers(0, 60, (80, 8, 8), dtype=np.uint8)
images[labels == "left", :, :4] += 180
images[labels == "right", :, 4:] += 180
settings = {"schedule": {"epochs": 2, "kind": "constant"}, "data": (images, labels),
            "run": {"threads": 1, "batch_size": 16}, "quiet": True}
"""


@pytest.mark.ray
def test_trials_find_what_lies_beside_a_script_and_what_lives_in_it(folder):
    (folder / "space.yaml").write_text("""
about: parts of one's own
preset: digits
settings: {study: {trials: 3, concurrent: 1, scheduler: none}, meta: {k: 1}}
space:
  model.name: {type: choice, values: ["__main__:layers", of_the_script, "nets:Small"]}
  method.name: {type: choice, values: [ce, "bootstrap:METHOD", famus]}
  meta.grouping: {type: choice, values: [layer, "halves:halves"], when: {method.name: famus}}
points:
  - {model.name: "__main__:layers", method.name: ce}
  - {model.name: of_the_script, method.name: "bootstrap:METHOD"}
  - {model.name: "nets:Small", method.name: famus, meta.grouping: "halves:halves"}
""")
    call = "print(fr.tune('space.yaml', meta=(images[:20], labels[:20]), **settings))"
    printed = script(SCRIPT + call, folder)
    study = folder / "runs" / "study-space"
    trials = fr.load_trials(study)
    assert trials["state"].tolist() == ["completed"] * 3, trials["error"].tolist()
    assert trials["param.method.name"].tolist() == ["ce", "bootstrap:METHOD", "famus"]
    assert len([*(study / "data").iterdir()]) == 1
    assert not [*study.glob("trials/*/data")]
    assert "best trial: " in printed
    assert len(printed.strip().splitlines()) <= 3


@pytest.mark.ray
def test_two_workers_get_arrays_and_a_network_and_the_run_goes_on_without_them(folder):
    script(SCRIPT + """
torch.manual_seed(0)
network = layers(2, 1)
fr.train("own", "run.name=one", model=network, **settings)
fr.train("own", "run.name=two", "scale.workers=2", model=network, **settings)
""", folder)  # fmt: skip
    one, two = (folder / "runs" / name for name in ("one", "two"))
    for (_, metric, first), (_, other, second) in zip(curves_of(one), curves_of(two), strict=True):
        assert metric == other
        assert second == pytest.approx(first, rel=1e-3), metric
    (named,) = load_manifest(two)["only_in_its_process"]
    assert re.fullmatch(r"model.name = famus_ray.handed:Sequential_\w{8}", named)


def test_a_killed_run_on_arrays_goes_on_without_the_arrays_also_in_another_place(folder):
    text = (
        SCRIPT
        + """
import os
from famus_ray.training import loop
if "--kill" in sys.argv:
    begin = loop._save
    def save(*arguments):
        begin(*arguments)
        os.kill(os.getpid(), 9)
    loop._save = save
fr.train("own", "run.name=" + sys.argv[1], "model.name=nets:Small", **settings)
"""
    )
    script(text, folder, "whole")
    done = subprocess.run([sys.executable, "script.py", "cut", "--kill"], cwd=folder, check=False)
    assert done.returncode == -9
    moved = folder / "elsewhere" / "cut"
    moved.parent.mkdir()
    (folder / "runs" / "cut").rename(moved)
    run([PROGRAM, "resume", str(moved)], folder)
    assert curves_of(moved) == curves_of(folder / "runs" / "whole")


def test_what_lives_in_a_script_is_told_where_the_run_is_resumed_elsewhere(folder):
    told = script(
        SCRIPT.replace('"quiet": True', '"model": layers') + "fr.train(**settings)", folder
    )
    assert "model.name = __main__:layers: lives in this Python process only" in told
    (name,) = (path.name for path in (folder / "runs").iterdir())
    (folder / "runs" / name / "samples.parquet").unlink()
    done = subprocess.run(
        [PROGRAM, "resume", name], cwd=folder, capture_output=True, text=True, check=False,
        env={**os.environ, "COLUMNS": "500"},
    )  # fmt: skip
    assert done.returncode == 2
    assert "model.name = __main__:layers" in done.stderr
    assert "it lives in the script or notebook that named it" in done.stderr
