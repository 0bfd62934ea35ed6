"""Population based training: who ends, who goes on from whom, and that a cut loses nothing."""

import shutil

import pytest
import torch

import famus_ray as fr
from famus_ray.records.checkpoint import load_checkpoint
from famus_ray.records.ledger import read_events
from famus_ray.records.saved_space import saved_space
from famus_ray.scale.population import Population
from famus_ray.scale.search import Search
from famus_ray.spaces.space import load_space

SPACE = """
preset: digits
settings: {method: famus, schedule: {epochs: 4}, model: {widths: [4, 4, 8]}, run: {threads: 1},
           study: {scheduler: pbt, exploit_every: 2, trials: 4, concurrent: 1}}
space:
  optimiser.lr: {type: float, low: 1.0e-4, high: 0.5, log: true}
  meta.lr: {type: float, low: 1.0e-4, high: 1.0e-2, log: true}
  meta.grouping: {type: choice, values: [tensor, layer]}
points:
  - {optimiser.lr: 0.1, meta.lr: 1.0e-3}
  - {optimiser.lr: 0.11, meta.lr: 1.0e-3}
  - {optimiser.lr: 0.12, meta.lr: 1.0e-3}
  - {optimiser.lr: 1.0e-4, meta.lr: 1.0e-3}
"""


@pytest.fixture(scope="module")
def study(tmp_path_factory, ray_instance):
    root = tmp_path_factory.mktemp("population")
    (root / "space.yaml").write_text(SPACE)
    return fr.tune(root / "space.yaml", f"run.root={root}").path


@pytest.mark.ray
def test_a_child_of_the_best_goes_on_in_the_place_of_the_poorest(study):
    trials, curves = fr.load_trials(study), fr.load_curves(study)
    assert trials["state"].tolist() == ["completed"] * 3 + ["pruned", "completed"]
    assert trials["epochs"].tolist() == [4, 4, 4, 2, 4]
    wide = curves.pivot_table(index="epoch", columns=["trial", "metric"], values="value")
    at_two = {n: wide[n, "validation/top1"][2] for n in range(4)}
    parent = int(trials["parent"][4])
    assert trials["from_epoch"][4] == 2
    assert at_two[parent] == max(at_two.values())
    before = wide[4][["validation/top1", "train/loss"]]
    assert before.loc[:2].equals(wide[parent][["validation/top1", "train/loss"]].loc[:2])
    assert not before.loc[3:].equals(wide[parent][["validation/top1", "train/loss"]].loc[3:])
    for setting in ("param.optimiser.lr", "param.meta.lr"):
        ratio = trials[setting][4] / trials[setting][parent]
        assert 1 / 1.5 <= ratio <= 1.5
        assert ratio != 1
    assert trials["param.meta.grouping"][4] == trials["param.meta.grouping"][parent]


@pytest.mark.ray
def test_a_child_trains_with_its_own_rates(study):
    child = fr.load_trials(study).iloc[4]
    state = load_checkpoint(
        study / "trials" / "0004" / "checkpoints" / "last.pt", torch.device("cpu")
    )
    rates = [group["lr"] for group in state["step"]["head_optimiser"]["param_groups"]]
    assert rates == [child["param.meta.lr"]]
    curves = fr.load_curves(study / "trials" / "0004")
    rate = curves[curves["metric"].eq("train/lr") & curves["epoch"].eq(3)]["value"].item()
    assert rate == pytest.approx(child["param.optimiser.lr"] / 2)  # half way down the cosine


@pytest.mark.ray
def test_a_study_cut_anywhere_goes_on_with_the_same_child(study, tmp_path):
    lines = (study / "ledger.jsonl").read_text().splitlines(keepends=True)
    events = list(read_events(study / "ledger.jsonl"))
    born = next(i for i, event in enumerate(events) if "parent" in event)
    for cut in range(len(lines) + 1):
        (tmp_path / "ledger.jsonl").write_text("".join(lines[:cut]))
        left = Search(saved_space(study), tmp_path / "ledger.jsonl").left
        assert (left == 0) == (cut == len(lines))
    again = shutil.copytree(study, tmp_path / "again")
    shutil.rmtree(again / "trials" / "0004")
    (again / "ledger.jsonl").write_text("".join(lines[:born]))
    assert Search(saved_space(again), again / "ledger.jsonl").suggest() == (
        4,
        events[born]["params"],
    )


def test_no_one_is_poor_among_a_few_and_a_trial_that_went_on_after_a_crash_has_no_heir():
    overrides = ("study.scheduler=pbt", "study.exploit_every=2", "schedule.epochs=6")
    space = load_space("quick", overrides)
    population = Population(space.base.config, space.entries)
    assert not any(population.reported(n, 2, value) for n, value in enumerate((0.1, 0.2, 0.3)))
    assert population.reported(3, 2, 0.05)
    assert not population.reported(3, 3, 0.05)  # its driver was killed before it was told
    population.ended(3)
    assert population.due == 0
    assert population.reported(4, 2, 0.01)
    population.ended(4)
    assert population.due == 1


def test_a_space_in_which_nothing_can_change_is_refused(tmp_path):
    (tmp_path / "fixed.yaml").write_text(
        "preset: digits\nsettings: {study: {scheduler: pbt}}\n"
        "space: {meta.grouping: {type: choice, values: [tensor, layer]}}\n"
    )
    with pytest.raises(fr.UserError, match=r"pbt perturbs ranges of optimiser\.lr"):
        load_space(str(tmp_path / "fixed.yaml"))
