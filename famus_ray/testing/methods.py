"""Checks of the contract of methods: training, reproducibility and resuming."""

from __future__ import annotations

import math
from collections.abc import Callable, Iterator, Mapping
from pathlib import Path
from typing import Any

import torch
from torch import Tensor

from famus_ray.config.methods import method_named
from famus_ray.config.resolve import resolve
from famus_ray.config.schema import Config, field_names
from famus_ray.records.run_folder import RunFolder
from famus_ray.training.loop import epochs

__all__ = ["METHOD_CHECKS", "MethodCheck"]

MethodCheck = Callable[[str, Path], None]

# Handwritten digits and a network of some thousand weights: an epoch takes about a second.
_SMALL = (
    "model.widths=[4,4,8]", "run.batch_size=256", "run.threads=1", "pipeline.warmup=1",
    "schedule.epochs=2", "run.device=cpu",
)  # fmt: skip


def check_declaration(name: str, folder: Path) -> None:
    """Checks that the declaration has the method's name and refers to existing settings."""
    del folder
    declared = method_named(name)
    assert declared.name == name, f"it is called {declared.name}, and found as {name}"
    assert declared.about, "about is empty"
    unknown = {*declared.reads, *declared.changes_in_run} - {*field_names()}
    assert not unknown, f"reads and changes_in_run name no settings: {', '.join(sorted(unknown))}"
    unread = {*declared.changes_in_run} - {*declared.reads}
    assert not unread, f"changes_in_run without being read: {', '.join(sorted(unread))}"


def check_training(name: str, folder: Path) -> None:
    """Checks that two epochs have finite losses."""
    config = _config(name)
    losses = [
        (report.epoch, curve, value)
        for report in epochs(config, RunFolder(folder / "run"))
        for curve, value in report.metrics.items()
        if curve.endswith("/loss")
    ]
    assert any(curve == "train/loss" for _, curve, _ in losses), "its steps give no train/loss"
    for epoch, curve, value in losses:
        assert math.isfinite(value), f"{curve} is {value} after epoch {epoch}"


def check_same_seed(name: str, folder: Path) -> None:
    """Checks that runs with the same seed are equal to the last bit, and other seeds differ."""
    first, again, other = (
        _trained(_config(name, f"run.seed={seed}"), folder / where)
        for where, seed in (("first", 1), ("again", 1), ("other", 2))
    )
    differing = _differing(first, again)
    assert not differing, f"differ from run to run: {', '.join(differing)}"
    assert _differing(first, other), "another seed gives the same run"


def check_resuming(name: str, folder: Path) -> None:
    """Checks that a run interrupted after its first epoch resumes exactly.

    It must equal an uninterrupted run to the last bit, so the step's `state_dict` must hold
    everything that it keeps from one epoch to the next.
    """
    whole = _trained(_config(name), folder / "whole")
    for report in epochs(_config(name), RunFolder(folder / "cut")):
        if report.epoch == 1:
            break
    resumed = _trained(_config(name), folder / "cut")
    differing = _differing(whole, resumed)
    assert not differing, f"differ after a cut: {', '.join(differing)}"


def check_changes_in_run(name: str, folder: Path) -> None:
    """Checks that new values of settings in `changes_in_run` take effect in a resumed run."""
    changing = method_named(name).changes_in_run
    if not changing:
        return
    for report in epochs(_config(name), RunFolder(folder / "begun")):
        if report.epoch == 1:
            break
    state = torch.load(RunFolder(folder / "begun").last, weights_only=True)
    unchanged = _gone_on(_config(name), state, folder / "unchanged")
    for setting in changing:
        section, _, key = setting.partition(".")
        value = getattr(getattr(_config(name), section), key)
        config = _config(name, f"{setting}={value * 1.5 if value else 0.1}")
        changed = _gone_on(config, state, folder / setting)
        assert _differing(unchanged, changed), f"{setting} is not taken up in a run that goes on"


METHOD_CHECKS: tuple[MethodCheck, ...] = (
    check_declaration,
    check_training,
    check_same_seed,
    check_resuming,
    check_changes_in_run,
)


def _config(name: str, *overrides: str) -> Config:
    return resolve("digits", (*_SMALL, f"method.name={name}", *overrides)).config


def _trained(config: Config, path: Path) -> dict[str, Tensor]:
    """Trains a run; returns all tensors of its last checkpoint."""
    list(epochs(config, RunFolder(path)))
    return dict(_tensors("", torch.load(RunFolder(path).last, weights_only=True)))


def _gone_on(config: Config, state: Mapping[str, Any], path: Path) -> dict[str, Tensor]:
    """Trains a run from the checkpoint of another one; returns the tensors of its last one."""
    run = RunFolder(path)
    for report in epochs(config, run):
        if report.epoch == 1:
            break
    torch.save(state, run.last)
    return _trained(config, path)


def _tensors(name: str, value: object) -> Iterator[tuple[str, Tensor]]:
    if isinstance(value, Tensor):
        yield name, value
    elif isinstance(value, Mapping):
        for key, inside in value.items():
            yield from _tensors(f"{name}/{key}" if name else str(key), inside)
    elif isinstance(value, list | tuple):
        for place, inside in enumerate(value):
            yield from _tensors(f"{name}/{place}", inside)


def _differing(a: Mapping[str, Tensor], b: Mapping[str, Tensor]) -> list[str]:
    names = dict.fromkeys([*a, *b])
    return [n for n in names if n not in a or n not in b or not torch.equal(a[n], b[n])]
