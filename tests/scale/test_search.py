"""What the search suggests and prunes, and that a replayed ledger leaves it where it stood."""

from __future__ import annotations

import pytest

from famus_ray.config.space import load_space
from famus_ray.errors import UserError
from famus_ray.ledger import trials_table
from famus_ray.reading.trials import best_of, leaders
from famus_ray.scale.reports import Report
from famus_ray.scale.search import Search

SPACE = """
preset: digits
settings: {schedule: {epochs: 9}, study: {grace_epochs: 1}}
space:
  meta.lr: {type: float, low: 1.0e-4, high: 1.0e-2, log: true}
  meta.grouping: {type: choice, values: [tensor, layer]}
  meta.k: {type: int, low: 1, high: 3, when: {meta.grouping: tensor}}
points: [{meta.lr: 1.0e-3}]
"""


@pytest.fixture
def search(tmp_path):
    """A search with these settings, on the one ledger of this test."""
    file = tmp_path / "mine.yaml"
    file.write_text(SPACE)

    def begin(*overrides, ledger="ledger.jsonl"):
        return Search(load_space(str(file), overrides), tmp_path / ledger)

    return begin


def run_one(search, epochs=9, value=lambda settings: settings["meta.lr"]):
    """The next trial, run to the end that it comes to; its settings."""
    number, settings = search.suggest()
    search.begun(number)
    quality = value(settings)
    for epoch in range(1, epochs + 1):
        prune = search.reported(number, Report(epoch, quality * epoch))
        if prune and epoch < epochs:
            search.ended(number, "pruned")
            return settings
    search.ended(number, "completed")
    return settings


@pytest.mark.parametrize("searcher", ["tpe", "random", "qmc", "gp", "nsga2", "nsga3", "cmaes"])
def test_a_search_cut_in_two_suggests_what_one_in_one_piece_does(search, searcher):
    more = (f"study.searcher={searcher}", "study.trials=8", "study.startup_trials=3")
    whole = search(*more, ledger="whole.jsonl")
    expected = [run_one(whole) for _ in range(8)]
    assert whole.suggest() is None
    first = search(*more)
    found = [run_one(first) for _ in range(4)]
    second = search(*more)
    assert second.left == 4
    found += [run_one(second) for _ in range(4)]
    assert found == expected


@pytest.mark.parametrize("scheduler", ["asha", "hyperband", "median"])
def test_a_pruner_remembers_what_it_saw_before_it_was_cut(search, scheduler, tmp_path):
    more = (f"study.scheduler={scheduler}", "study.trials=12", "study.startup_trials=2")
    whole, states = search(*more, ledger="whole.jsonl"), []
    for _ in range(12):
        run_one(whole)
        run_one(search(*more))  # opened anew for each trial
    for ledger in ("whole.jsonl", "ledger.jsonl"):
        table = trials_table(tmp_path / ledger)
        states.append(table[["state", "epochs", "value"]].to_dict("records"))
    assert states[0] == states[1]
    assert {row["state"] for row in states[0]} == {"completed", "pruned"}


def test_nothing_is_pruned_in_the_first_third(search):
    opened = search("study.grace_epochs=null", "study.trials=9", "schedule.epochs=20")
    ended = []
    for value in range(9, 0, -1):  # each worse than all before
        number, _ = opened.suggest()
        ended.append(
            next((e for e in range(1, 20) if opened.reported(number, Report(e, value))), 0)
        )
        opened.ended(number, "pruned" if ended[-1] else "completed")
    assert ended == [0, *[7] * 8]


def test_a_trial_under_way_is_handed_out_first_with_its_number(search):
    before = search("study.trials=3")
    asked = [before.suggest(), before.suggest()]
    before.begun(0)
    before.reported(0, Report(1, 0.5))
    after = search("study.trials=3")
    assert after.left == 3
    assert [after.suggest(), after.suggest()] == asked
    assert after.suggest()[0] == 2
    assert after.suggest() is None


def test_no_trial_that_ended_is_left_running_in_the_searcher(search):
    first = search("study.scheduler=none")
    for state in ("completed", "pruned", "failed"):
        number, _ = first.suggest()
        first.begun(number)
        first.reported(number, Report(1, 0.5))
        first.ended(number, state)
    first.suggest()
    names = [trial.state.name for trial in search("study.scheduler=none").searcher.trials]
    assert names == ["COMPLETE", "PRUNED", "FAIL", "RUNNING"]


def test_a_lost_trial_is_tried_again_and_a_wrong_one_is_not(search):
    before = search("study.trials=2")
    for _ in range(2):
        before.begun(before.suggest()[0])
    before.ended(0, "failed", "its node was lost", lost=True)
    before.ended(1, "failed", "ValueError")
    assert search("study.trials=2").suggest()[0] == 0


def test_a_ledger_that_lost_the_beginning_of_a_trial_is_not_gone_on_with(search, tmp_path):
    before = search("study.trials=3")
    for _ in range(3):
        run_one(before)
    lines = (tmp_path / "ledger.jsonl").read_text().splitlines(keepends=True)
    begun = next(i for i, line in enumerate(lines) if '"started"' in line and "0001" in line)
    (tmp_path / "ledger.jsonl").write_text("".join([*lines[:begun], "?\n", *lines[begun + 1 :]]))
    with (
        pytest.warns(UserWarning, match=f"line {begun + 1}$"),
        pytest.raises(UserError, match=r"ledger\.jsonl: the line that began trial 0001"),
    ):
        search("study.trials=3")


def test_points_come_first_and_start_up_trials_do_not_depend_on_their_company(search):
    alone, together = search(ledger="a.jsonl"), search(ledger="b.jsonl")
    one_by_one = [run_one(alone) for _ in range(4)]
    assert [together.suggest()[1] for _ in range(4)] == one_by_one
    assert one_by_one[0]["meta.lr"] == 1e-3


def test_another_seed_suggests_other_trials(search):
    run_one(a := search(ledger="a.jsonl"))
    run_one(b := search("study.seed=1", ledger="b.jsonl"))
    assert run_one(a) != run_one(b)


def test_a_grid_is_every_combination_that_the_conditions_allow(tmp_path):
    file = tmp_path / "grid.yaml"
    file.write_text(
        "preset: digits\nsettings: {study: {searcher: grid}}\nspace:\n"
        "  meta.k: {type: int, low: 1, high: 3, step: 2, when: {meta.grouping: tensor}}\n"
        "  meta.grouping: {type: choice, values: [tensor, layer]}\n"
        "  meta.lambda1: {type: float, low: 0, high: 0.2, step: 0.1}\n"
        "  meta.lambda2: {type: constant, value: 0.5, when: {meta.grouping: layer}}\n"
        "  meta.weight_decay: {type: derived, of: meta.lambda1, times: 10}\n"
    )
    search = Search(load_space(str(file)), tmp_path / "ledger.jsonl")
    found = []
    while asked := search.suggest():
        found.append(asked[1])
    assert len(found) == 9
    assert [row for row in found if row["meta.grouping"] == "layer"] == [
        {
            "meta.grouping": "layer",
            "meta.lambda1": x,
            "meta.lambda2": 0.5,
            "meta.weight_decay": 10 * x,
        }
        for x in (0.0, 0.1, 0.2)
    ]
    assert [r["meta.k"] for r in found if r["meta.grouping"] == "tensor"] == [1, 3] * 3


@pytest.mark.parametrize("searcher", ["tpe", "nsga2", "nsga3"])
def test_a_search_under_a_constraint_draws_most_trials_where_it_is_kept(search, searcher):
    def run(opened):
        number, settings = opened.suggest()
        lr = settings["meta.lr"]
        opened.reported(number, Report(1, lr, excess={"lr <= 0.001": lr - 0.001}))
        opened.ended(number, "completed")
        return lr

    more = (f"study.searcher={searcher}", "study.trials=41", "study.startup_trials=8",
            "study.scheduler=none")  # fmt: skip
    opened = search(*more, ledger="bounded.jsonl")
    found = [run(opened) for _ in range(40)]
    assert sum(lr <= 0.001 for lr in found[-20:]) >= 10  # at most 3 without the constraint
    again = search(*more, ledger="bounded.jsonl")
    assert run(again) == run(opened)  # the replay knows what was broken


def test_the_leaders_are_trained_again_and_the_best_mean_is_the_best(search, tmp_path):
    def value(settings):  # what was best with its own seed is not with others
        own, lucky = "run.seed" not in settings, settings["meta.lr"] == 1e-3
        return 1.0 if own and lucky else 0.5 if lucky else settings["meta.lr"]

    more = ("study.trials=5", "study.leaders=2", "study.leader_seeds=3", "study.scheduler=none",
            "study.searcher=random")  # fmt: skip
    first = search(*more)
    assert first.left == 5 + 6
    for _ in range(4):
        run_one(first, value=value)
    number, _ = first.suggest()
    assert first.suggest() is None  # who leads is not known before it has ended
    assert first.may_go_on
    first.reported(number, Report(9, 0.0))
    first.ended(number, "completed")
    run_one(first, value=value)
    under_way = first.suggest()
    for _ in range(5):
        second = search(*more)  # opened anew for each
        run_one(second, value=value)
    assert search(*more).left == 0
    assert search(*more).suggest() is None
    trials = trials_table(tmp_path / "ledger.jsonl")
    again = trials[trials["replicates"].notna()]
    assert again["trial"].iloc[1] == under_way[0]
    assert sorted(again["param.run.seed"]) == [1, 1, 2, 2, 3, 3]
    drawn = trials[trials["replicates"].isna()]
    two_best = drawn.nlargest(2, "value")["trial"].tolist()
    assert sorted(again["replicates"]) == sorted(two_best * 3)
    ranked = leaders(trials)
    assert ranked["seeds"].tolist() == [3, 3]
    assert best_of(trials).value == max(ranked["mean"]) == again["value"].max()


def test_a_study_that_is_extended_trains_its_new_leaders_again(search, tmp_path):
    more = ("study.leaders=1", "study.leader_seeds=2", "study.scheduler=none")
    for _ in range(4):
        run_one(search(*more, "study.trials=2"))
    longer = search(*more, "study.trials=12")
    while longer.left:
        run_one(longer)
    trials = trials_table(tmp_path / "ledger.jsonl")
    best = trials[trials["replicates"].isna()].nlargest(1, "value")["trial"].item()
    assert trials["replicates"].eq(best).sum() == 2
    assert trials["replicates"].isna().sum() == 12


def test_the_table_says_why_a_trial_was_pruned(search, tmp_path):
    for scheduler in ("asha", "median", "hyperband"):
        opened = search(
            f"study.scheduler={scheduler}", "study.trials=6", "study.startup_trials=2",
            ledger=scheduler,
        )  # fmt: skip
        values = iter([0.5, 0.4, 0.3, 0.2, 0.1, 0.05])
        for _ in range(6):
            run_one(opened, value=lambda settings: next(values) / 9)  # noqa: B023
        trials = trials_table(tmp_path / scheduler)
        pruned = trials[trials["state"] == "pruned"]
        assert trials.loc[trials["state"] == "completed", "reason"].isna().all()
        for row in pruned.itertuples():
            assert row.reason.startswith(f"{row.value:.4g} at epoch {row.epochs}, ")
        assert len(pruned)
    asha = trials_table(tmp_path / "asha")
    # 0.4 / 9 against 0.5 / 9 after the first epoch: of two one goes on.
    expected = "0.04444 at epoch 1, rung 1: 0.05556 was needed (1 of 2 go on)"
    assert asha["reason"][1] == expected
    assert trials_table(tmp_path / "median")["reason"].dropna().str.contains("the median of").all()
