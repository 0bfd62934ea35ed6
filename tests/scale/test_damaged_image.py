"""An image that cannot be read: the run or trial ends at once and names it."""

from __future__ import annotations

from pathlib import Path

import pytest
import ray
from ray.util.state import list_actors

import famus_ray as fr
from famus_ray.config import resolve
from famus_ray.data.batches import EpochBatches
from famus_ray.data.catalog import load_dataset
from famus_ray.data.made_up import make
from famus_ray.errors import StudyStopped, UserError
from famus_ray.scale.study import resume_study, run_study
from famus_ray.scale.workers import train_on_workers
from famus_ray.spaces.space import load_space

pytestmark = [pytest.mark.ray, pytest.mark.faults, pytest.mark.usefixtures("ray_instance")]

SETTINGS = {
    "data": {"name": "folders", "image_size": 16, "meta_per_class": 2, "validation_fraction": 0.2},
    "noise": {"kind": "none"},
    "model": {"name": "preact_resnet8", "widths": [8, 8, 16], "norm": "group"},
    "method": {"name": "ce"},
    "schedule": {"epochs": 2},
    "run": {"batch_size": 8, "threads": 1},
}


def settings(root: Path, storage: str, workers: int = 1) -> dict:
    data = {**SETTINGS["data"], "root": str(root), "storage": storage}
    return {**SETTINGS, "data": data, "scale": {"workers": workers}}


@pytest.fixture
def damaged(tmp_path: Path) -> tuple[Path, Path, bytes]:
    """Images of four classes, one that is cut short and lies past the first batch, and what it
    was."""
    root = tmp_path / "images"
    make("folders", root, images=40, size=20)
    config = resolve(values=settings(root, "disk")).config
    data = load_dataset(config.data, config.noise, config.run.seed)
    files = data.train.pixels.paths
    assert EpochBatches(data, config).steps > 1
    names = {str(name) for name in files.names.to_pylist()}
    for name in sorted(names):
        path = root / name
        whole = path.read_bytes()
        path.write_bytes(whole[: len(whole) // 2])
        try:
            next(EpochBatches(data, config).epoch(0, with_meta=False))
            return root, path, whole
        except UserError:
            path.write_bytes(whole)
    raise AssertionError("every image is in the first batch")


def test_a_run_of_two_workers_is_not_begun_again(tmp_path: Path, damaged):
    root, path, _ = damaged
    config = resolve(values=settings(root, "disk", workers=2)).config
    here = ray.get_runtime_context().gcs_address  # other Rays may run on this machine
    before = {actor.actor_id for actor in list_actors(here, limit=1000)}
    with pytest.raises(UserError, match=f"{path}: cannot be read as an image"):
        train_on_workers(config, tmp_path / "run")
    begun = [a for a in list_actors(here, limit=1000) if a.actor_id not in before]
    assert sum("TrainWorker" in actor.class_name for actor in begun) == 2
    assert (tmp_path / "run" / "config.yaml").is_file()


def test_a_trial_fails_with_the_images_name_and_is_tried_again_once_it_is_mended(
    tmp_path: Path, damaged
):
    root, path, whole = damaged
    values = settings(root, "disk")
    space = tmp_path / "space.yaml"
    space.write_text(
        f"preset: digits\nsettings: {values}\nspace:\n"
        "  optimiser.lr: {type: float, low: 0.01, high: 0.1}\n"
    )
    loaded = load_space(str(space), ("study.trials=1",))
    with pytest.raises(StudyStopped, match=f"the only trial that ran failed.* with {path}: cannot"):
        run_study(loaded, tmp_path / "study")
    (trial,) = fr.load_trials(tmp_path / "study").to_dict("records")
    assert (trial["state"], trial["attempts"]) == ("failed", 1)
    assert trial["error"].startswith(f"{path}: cannot be read as an image (")
    assert "\n" not in trial["error"]
    path.write_bytes(whole)
    assert resume_study(tmp_path / "study") == 0
    assert resume_study(tmp_path / "study", retry_failed=True) == 1
    (trial,) = fr.load_trials(tmp_path / "study").to_dict("records")
    assert (trial["state"], trial["epochs"]) == ("completed", 2)


@pytest.mark.parametrize("workers", [1, 2])
def test_in_memory_it_is_refused_before_anything_is_written(tmp_path: Path, damaged, workers):
    root, path, _ = damaged
    values = settings(root, "memory", workers)
    values["run"] = {**values["run"], "root": str(tmp_path / "runs")}
    with pytest.raises(UserError, match=f"{path}: cannot be read as an image"):
        fr.train(None, quiet=True, **values)
    assert not (tmp_path / "runs").exists()
