"""Which settings matter: shares of the variance that are known, and how trials ended."""

import numpy as np
import pandas as pd
import pytest
from pydantic import TypeAdapter

from famus_ray.reading.importance import outcomes, parameter_importance
from famus_ray.spaces.ranges import Range

LR = {"type": "float", "low": 1e-3, "high": 1.0, "log": True}
BATCH = {"type": "choice", "values": [16, 32, 64]}
RATE = {"type": "choice", "values": [None, 0.1, 1.0]}
RANGES = {
    name: TypeAdapter(Range).validate_python(entry)
    for name, entry in {"lr": LR, "batch": BATCH, "rate": RATE}.items()
}


def trials_of(count, seed=0):
    rng = np.random.default_rng(seed)
    return pd.DataFrame(
        {
            "trial": range(count),
            "state": "completed",
            "error": pd.Series(None, index=range(count), dtype="string"),
            "replicates": pd.Series(pd.NA, index=range(count), dtype="Int64"),
            "value": rng.standard_normal(count),
            "param.lr": 10 ** rng.uniform(-3, 0, count),
            "param.batch": rng.choice([16, 32, 64], count),
            "param.rate": rng.choice(np.array(["null", 0.1, 1.0], dtype=object), count),
        }
    )


def test_pure_noise_is_explained_by_nothing():
    found = [parameter_importance(trials_of(40, seed), RANGES) for seed in range(4)]
    shares = pd.concat(found)
    assert shares["share"].abs().max() < 0.25
    assert abs(shares["share"].mean()) < 0.05
    assert ((shares["low"] <= 0) & (shares["high"] >= 0)).mean() > 0.7  # 90 % are meant to


def test_a_share_is_that_of_the_variance_and_the_rest_belongs_to_none():
    """Half of the variance comes from one setting, half from noise."""
    trials = trials_of(200)
    signal = np.log10(trials["param.lr"])
    trials["value"] += (signal - signal.mean()) / signal.std() * trials["value"].std()
    shares = parameter_importance(trials, RANGES)
    assert shares.index[0] == "lr"
    assert shares.loc["lr", "low"] < 0.5 < shares.loc["lr", "high"] + 0.1
    assert 0.3 < shares.loc["lr", "share"] < 0.6
    assert (shares.loc[["batch", "rate"], "share"].abs() < 0.1).all()


def test_null_is_a_value_among_others():
    trials = trials_of(60)
    trials["value"] = trials["param.rate"].eq("null") + 0.01 * trials["value"]
    shares = parameter_importance(trials, RANGES)
    assert shares.index[0] == "rate"
    assert shares.loc["rate", "low"] > 0.5


def test_values_that_are_not_finite_are_left_out():
    trials = trials_of(30)
    trials.loc[:3, "value"] = [np.nan, np.inf, -np.inf, np.nan]
    assert np.isfinite(parameter_importance(trials, RANGES).to_numpy()).all()
    assert parameter_importance(trials[:7], RANGES).empty  # three are left


def test_the_same_trials_give_the_same_shares():
    found = [parameter_importance(trials_of(20), RANGES) for _ in range(2)]
    pd.testing.assert_frame_equal(*found)


def test_the_setting_that_decides_divergence_comes_first():
    trials = trials_of(80)
    high = trials["param.lr"] > 0.3
    trials.loc[high, ["state", "error"]] = ["pruned", "epoch 1: train/loss is nan"]
    trials.loc[trials["param.rate"].eq("null") & (trials["param.lr"] < 0.01), "state"] = "failed"
    found = outcomes(trials)
    lr = found[found["setting"] == "lr"]
    assert found["setting"].iloc[0] == "lr"
    assert lr["diverged"].iloc[:2].tolist() == [0, 0]
    assert lr["diverged"].iloc[-1] == pytest.approx(high.sum() / 20, abs=0.06)
    assert lr["trials"].sum() == 80
    rate = found[found["setting"] == "rate"].set_index("value")
    assert rate.index.tolist() == ["0.1", "1.0", "null"]
    assert rate["failed"].tolist()[:2] == [0, 0]
    assert rate.loc["null", "failed"] > 0.1
    batch = found[found["setting"] == "batch"]
    assert batch["value"].tolist() == ["16", "32", "64"]


def test_what_was_all_completed_has_no_table_of_ends():
    assert outcomes(trials_of(10)).empty
