"""The pipeline without clean data, from the outside: what a run of it comes to."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd
import pytest
import torch
from sklearn.metrics import roc_auc_score

import famus_ray as fr
from famus_ray.config import resolve
from famus_ray.data.catalog import load_dataset
from famus_ray.errors import Diverged
from famus_ray.records.run_folder import RunFolder
from famus_ray.training.loop import checked_data, epochs, start

SMALL = (
    "model.widths=[4,8,16]", "run.threads=1", "schedule.epochs=4", "pipeline.warmup=2",
    "pipeline.rampup=2",
)  # fmt: skip
FAMUS = (*SMALL, "method=famus", "meta.source=pseudo_clean")


def numbers(run: Path) -> pd.DataFrame:
    curves = fr.load_curves(run)
    kept = curves[~curves["metric"].str.startswith("time/")]
    return kept[["epoch", "metric", "value"]].reset_index(drop=True)


def test_a_run_stopped_amid_its_divisions_and_resumed_equals_the_uninterrupted(tmp_path: Path):
    config = resolve("digits", FAMUS).config
    whole, cut = RunFolder(tmp_path / "whole"), RunFolder(tmp_path / "cut")
    list(epochs(config, whole))
    for report in epochs(config, cut):
        if report.epoch == 3:
            break
    assert fr.load_samples(cut.path)["epoch"].unique().tolist() == [2]
    list(epochs(config, cut))
    pd.testing.assert_frame_equal(numbers(cut.path), numbers(whole.path))
    pd.testing.assert_frame_equal(fr.load_samples(cut.path), fr.load_samples(whole.path))
    states = [torch.load(f.last, weights_only=True) for f in (cut, whole)]
    for mine, theirs in ((s, s["peer"]) for s in states):
        assert set(mine["model"]) == set(theirs["model"])
    for a, b in zip(flat(states[0]), flat(states[1]), strict=True):
        assert torch.equal(a, b)


def flat(state) -> list[torch.Tensor]:
    if isinstance(state, torch.Tensor):
        return [state]
    inside = state.values() if isinstance(state, dict) else state
    return [t for x in inside if isinstance(x, dict | list | torch.Tensor) for t in flat(x)]


def test_two_networks_find_the_wrong_labels(tmp_path: Path):
    """p(clean) of the last division, at 40 % symmetric noise."""
    overrides = ("schedule.epochs=11", "pipeline.warmup=5", "pipeline.rampup=4", "run.threads=1",
                 "method=dividemix", f"run.root={tmp_path}", "division.keep=2")  # fmt: skip
    run = fr.train("digits", *overrides)
    samples = fr.load_samples(run.path)
    assert sorted(samples["epoch"].unique()) == [10, 11]
    for _, rows in samples[samples["epoch"] == 11].groupby("network"):
        right = rows["label"] == rows["true_label"]
        assert roc_auc_score(right, rows["p_clean"]) >= 0.97
    assert run.summary.best > 0.9


@pytest.mark.parametrize("method", ["famus", "mwnet", "l2rw", "mlc"])
def test_every_meta_method_learns_from_a_pseudo_clean_meta_set(tmp_path: Path, method):
    overrides = (*SMALL, f"method={method}", "meta.source=pseudo_clean", "data.meta_per_class=0")
    run = fr.train("digits", *overrides, "schedule.epochs=3", f"run.root={tmp_path}")
    curves = fr.load_curves(run.path)
    assert {"meta/loss", "division/labelled", "division/meta"} <= set(curves["metric"])
    assert np.isfinite(curves["value"]).all()
    samples = fr.load_samples(run.path)
    assert set(samples["network"]) == {0, 1}
    assert samples["weight"].notna().all() == (method in ("famus", "mwnet"))


def test_the_released_prior_changes_the_meta_loss():
    """Quirk 7: the released code adds the prior to the meta loss as well."""
    losses = {}
    for fidelity in ("paper", "released"):
        config = resolve("digits", (*FAMUS, f"meta.fidelity={fidelity}")).config
        data = load_dataset(config.data, config.noise, config.run.seed)
        step = start(config, data, torch.device("cpu")).learners[0].step
        one_sided = torch.zeros(4, 10)
        one_sided[:, 0] = 5.0
        losses[fidelity] = step.meta_loss(one_sided, torch.zeros(4, dtype=torch.int64)).item()
    assert losses["released"] > losses["paper"] + 1


def run_with(tmp_path: Path, *overrides: str, data=None) -> pd.DataFrame:
    config = resolve("digits", (*FAMUS, "schedule.epochs=3", *overrides)).config
    list(epochs(config, RunFolder(tmp_path / "run"), data=data or checked_data(config)))
    return numbers(tmp_path / "run").pivot(index="epoch", columns="metric", values="value")


@pytest.mark.parametrize(
    ("threshold", "what"), [("0.999999999", "none is clean"), ("0", "all are clean")]
)
def test_a_division_that_leaves_one_side_empty_takes_the_median(tmp_path: Path, threshold, what):
    thresholds = (f"division.p_threshold={threshold}", f"division.meta_threshold={threshold}")
    curves = run_with(tmp_path, *thresholds, "division.kind=agreement")
    assert curves["division/labelled"].dropna().tolist() == pytest.approx([0.5], abs=1e-3), what
    assert curves["division/fallbacks"].dropna().tolist() == [2.0]
    assert np.isfinite(curves["train/loss"]).all()


def test_a_class_of_wrong_labels_only_and_a_class_that_is_missing(tmp_path: Path):
    config = resolve("digits", FAMUS).config
    data = load_dataset(config.data, config.noise, config.run.seed)
    labels = data.train.labels
    labels[labels == 7] = 1  # no example of class 7 is left
    is_three = data.train.true_labels == 3
    labels[is_three] = 4  # and what is labelled 3 is none
    curves = run_with(tmp_path, data=data)
    assert np.isfinite(curves.filter(like="/loss").dropna()).all(axis=None)
    samples = fr.load_samples(tmp_path / "run")
    assert 7 not in set(samples["label"])


def test_a_meta_set_smaller_than_a_batch(tmp_path: Path):
    curves = run_with(tmp_path, "division.meta_threshold=0.9999999", "meta.batch_size=100")
    assert np.isfinite(curves["meta/loss"].dropna()).all()
    assert len(curves["meta/loss"].dropna()) == 1


def test_losses_that_are_not_finite_stop_the_run_with_the_last_good_checkpoint(tmp_path: Path):
    folder = RunFolder(tmp_path / "nan")
    run = epochs(resolve("digits", FAMUS).config, folder)
    for _ in range(3):
        next(run)
    second = run.gi_frame.f_locals["state"].procedure.learners[1].model
    with torch.no_grad():
        next(second.parameters()).fill_(float("nan"))
    with pytest.raises(Diverged, match=r"epoch 4.*network 1.*last good state is in .*last.pt"):
        next(run)
    assert torch.load(folder.last, weights_only=True)["epoch"] == 3
    assert numbers(folder.path)["value"].notna().all()


@pytest.mark.parametrize(
    ("override", "message"),
    [
        ("pipeline.warmup=99", "pipeline.warmup = 99: leaves no epoch"),
        ("method=ce", "pseudo_clean: is for famus, l2rw, mlc, mwnet, not for method ce"),
        ("loss.reweight_from=1", "losses of its own"),
    ],
)
def test_settings_without_effect_are_refused(override, message):
    with pytest.raises(fr.UserError, match=message):
        resolve("digits", (*FAMUS, override))
