"""A run that is cut between any two of its files, and resumed, equals the uninterrupted one."""

from __future__ import annotations

import os
import shutil
from dataclasses import replace
from pathlib import Path
from typing import Any

import pandas as pd
import pytest
import torch

import famus_ray as fr
from famus_ray.config import resolve
from famus_ray.config.schema import Config
from famus_ray.data.catalog import Dataset, load_dataset
from famus_ray.records.run_folder import RunFolder
from famus_ray.training.loop import epochs

SMALL = (
    "model.widths=[8,8,8]", "schedule.epochs=4", "run.batch_size=32", "pipeline.warmup=1",
    "pipeline.rampup=2", "meta.batch_size=16", "division.keep=2", "run.threads=1",
    "run.diagnose_every=0",
)  # fmt: skip
RUNS = {
    "dividemix": ("method=dividemix",),
    "rare checkpoints": ("method=dividemix", "run.checkpoint_every=2"),
    "population": ("method=ce", "study.scheduler=pbt", "study.exploit_every=2"),
}


def tiny(data: Dataset) -> Dataset:
    """A few of the examples: an epoch takes no time."""
    parts = {"train": 64, "meta": 32, "validation": 40, "test": 40}
    return replace(data, **{n: getattr(data, n)[torch.arange(k)] for n, k in parts.items()})


def train(config: Config, path: Path, data: Dataset) -> None:
    for _ in epochs(config, RunFolder(path), data=data):
        pass


def photographed(patch: pytest.MonkeyPatch, run: Path, to: Path) -> list[Path]:
    """Copies of the folder `run` after each file that takes its name: what a kill then leaves."""
    copies: list[Path] = []
    rename = os.replace

    def rename_and_copy(*paths: Any, **more: Any) -> None:
        rename(*paths, **more)
        copies.append(to / f"{len(copies)}")
        shutil.copytree(run, copies[-1])

    patch.setattr(os, "replace", rename_and_copy)
    return copies


def content(run: Path) -> dict[str, Any]:
    """Everything that a run left, but for the clock's part."""
    curves = fr.load_curves(run).drop(columns="trial")
    found: dict[str, Any] = {
        "curves": curves[~curves["metric"].str.startswith("time/")].reset_index(drop=True),
        "samples": fr.load_samples(run),
        "labels": pd.read_parquet(run / "labels.parquet"),
        "config": (run / "config.yaml").read_text(),
    }
    for file in run.rglob("*.pt"):
        found[str(file.relative_to(run))] = torch.load(file, weights_only=True)
    return found


def assert_equal(mine: Any, theirs: Any, where: str = "") -> None:
    if isinstance(theirs, dict):
        assert list(mine) == list(theirs), where
        for name in theirs:
            assert_equal(mine[name], theirs[name], f"{where}/{name}")
    elif isinstance(theirs, list | tuple):
        assert len(mine) == len(theirs), where
        for place, (one, other) in enumerate(zip(mine, theirs, strict=True)):
            assert_equal(one, other, f"{where}/{place}")
    elif isinstance(theirs, torch.Tensor):
        assert torch.equal(mine, theirs), where
    elif isinstance(theirs, pd.DataFrame):
        pd.testing.assert_frame_equal(mine, theirs, obj=where)
    else:
        assert mine == theirs, where


@pytest.mark.parametrize("settings", RUNS.values(), ids=RUNS)
def test_a_run_cut_between_any_two_files_and_resumed_equals_the_uninterrupted(
    tmp_path: Path, settings: tuple[str, ...]
):
    config = resolve("digits", (*SMALL, *settings)).config
    data = tiny(load_dataset(config.data, config.noise, config.run.seed))
    whole = tmp_path / "whole"
    with pytest.MonkeyPatch.context() as patch:
        cuts = photographed(patch, whole, tmp_path / "cut")
        train(config, whole, data)
    wanted = content(whole)
    assert len(cuts) >= 3 + 2 * config.schedule.epochs
    for place, cut in enumerate(cuts):
        train(config, cut, data)
        assert_equal(content(cut), wanted, f"cut after file {place}")
        assert RunFolder(cut).is_finished(config.schedule.epochs)
