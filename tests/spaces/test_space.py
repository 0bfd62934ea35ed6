"""Search spaces: conditions that hold when sampled, and sizes."""

import optuna
import pytest

from famus_ray import UserError
from famus_ray.config.presets import space_names
from famus_ray.spaces.ranges import scalar
from famus_ray.spaces.space import load_space
from famus_ray.spaces.trial_config import trial_config

optuna.logging.set_verbosity(optuna.logging.ERROR)


def written(tmp_path, text):
    path = tmp_path / "mine.yaml"
    path.write_text("preset: digits\n" + text)
    return str(path)


def test_unknown_space_suggests_one():
    with pytest.raises(UserError, match="did you mean 'famus'"):
        load_space("fumas")


def sampled(space, count):
    study = optuna.create_study(sampler=optuna.samplers.RandomSampler(seed=0))
    trials = [study.ask() for _ in range(count)]
    for trial in trials:
        space(trial)
    return [trial.params for trial in trials]


def test_conditions_hold_for_every_sample_also_when_chained(tmp_path):
    # Written the wrong way round: what a condition asks comes after it.
    text = (
        "space:\n"
        "  meta.lambda1: {type: float, low: 0.1, high: 1, when: {meta.k: 2}}\n"
        "  meta.k: {type: int, low: 1, high: 2, when: {meta.grouping: [tensor, layer]}}\n"
        "  meta.grouping: {type: choice, values: [tensor, layer, block]}\n"
        "  meta.lambda2: {type: float, low: 0.1, high: 1, when: {method.name: famus}}\n"
    )
    samples = sampled(load_space(written(tmp_path, text)), 200)
    for params in samples:
        assert ("meta.k" in params) == (params["meta.grouping"] in ("tensor", "layer"))
        # The base's k is 4 where none is suggested, so the condition on 2 fails there.
        assert ("meta.lambda1" in params) == (params.get("meta.k") == 2)
        assert 0.1 <= params["meta.lambda2"] <= 1
    assert len({(p["meta.grouping"], p.get("meta.k")) for p in samples}) == 5


def test_values_stay_in_their_ranges(tmp_path):
    text = (
        "space:\n"
        "  meta.lr: {type: float, low: 1e-4, high: 1e-2, log: true}\n"
        "  meta.hidden: {type: int, low: 8, high: 32, step: 8}\n"
    )
    samples = sampled(load_space(written(tmp_path, text)), 200)
    assert all(1e-4 <= p["meta.lr"] <= 1e-2 for p in samples)
    below = sum(p["meta.lr"] < 1e-3 for p in samples)
    assert 60 < below < 140  # half of the draws are in the lower decade
    assert {p["meta.hidden"] for p in samples} == {8, 16, 24, 32}


def test_the_size_is_counted_without_listing(tmp_path):
    text = (
        "space:\n"
        "  meta.grouping: {type: choice, values: [tensor, layer, block]}\n"
        "  meta.k: {type: int, low: 1, high: 8, when: {meta.scope: all, meta.grouping: tensor}}\n"
        "  meta.scope: {type: choice, values: [all, tail]}\n"
        "  meta.lr: {type: float, low: 0.1, high: 1, step: 0.1}\n"
        "  meta.gate_lr: {type: derived, of: meta.lr, times: 2}\n"
        "  meta.lambda1: {type: choice, values: [0.0, 0.1], when: {meta.gate_lr: 0.2}}\n"
    )
    space = load_space(written(tmp_path, text))
    assert space.size() == len(space.grid()) == 13 * 11
    more = "".join(
        f"  {name}: {{type: float, low: 0.1, high: 1, step: 1.0e-10}}\n"
        for name in ("optimiser.lr", "meta.weight_decay", "meta.lambda2", "meta.temperature")
    )
    assert load_space(written(tmp_path, text + more)).size() > 10**6


def test_lists_can_be_chosen_among(tmp_path):
    text = "space:\n  model.widths: {type: choice, values: [[8, 8, 8], [8, 16, 16]]}\n"
    space = load_space(written(tmp_path, text))
    base = space.base.config.model_dump(mode="json")
    widths = {trial_config(base, params).model.widths for params in sampled(space, 20)}
    assert widths == {(8, 8, 8), (8, 16, 16)}


def test_overrides_change_the_base(tmp_path):
    path = written(tmp_path, "space: {meta.k: {type: int, low: 1, high: 3}}\n")
    space = load_space(path, ("noise.rate=0.7",))
    assert space.base.config.noise.rate == 0.7
    assert space.base.sources["noise.rate"] == "command line"


@pytest.mark.parametrize("name", space_names())
def test_shipped_spaces_suggest_settings_that_a_run_accepts(name):
    space = load_space(name)
    base = space.base.config.model_dump(mode="json")
    for params in [*sampled(space, 20), *space.points]:
        config = trial_config(base, params).model_dump(mode="json")
        for key, value in params.items():
            section, _, field = key.partition(".")
            assert scalar(config[section][field]) == value
