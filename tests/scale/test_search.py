"""What the search suggests and prunes, and that a replayed ledger leaves it where it stood."""

from __future__ import annotations

import pandas as pd
import pytest

from famus_ray.reading.trials import best_of, leaders
from famus_ray.records.ledger import append_event, read_events, trials_table
from famus_ray.records.tables import CURVES, write_table
from famus_ray.scale.reports import Report
from famus_ray.scale.search import Search
from famus_ray.spaces.space import load_space

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
    names = [trial.state.name for trial in search("study.scheduler=none").suggester.trials]
    assert names == ["COMPLETE", "PRUNED", "FAIL", "RUNNING"]


def test_a_lost_trial_is_tried_again_and_a_wrong_one_is_not(search):
    before = search("study.trials=2")
    for _ in range(2):
        before.begun(before.suggest()[0])
    before.ended(0, "failed", "its node was lost", lost=True)
    before.ended(1, "failed", "ValueError")
    assert search("study.trials=2").suggest()[0] == 0


def test_a_trial_whose_beginning_is_lost_costs_that_trial_and_no_number(search, tmp_path):
    before = search("study.trials=4")
    ran = [run_one(before) for _ in range(3)]
    lines = (tmp_path / "ledger.jsonl").read_text().splitlines(keepends=True)
    begun = next(i for i, line in enumerate(lines) if '"started"' in line and "0001" in line)
    (tmp_path / "ledger.jsonl").write_text("".join([*lines[:begun], "?\n", *lines[begun + 1 :]]))
    with (
        pytest.warns(UserWarning, match=f"line {begun + 1}$"),
        pytest.warns(UserWarning, match="nothing is left of trial 0001"),
    ):
        after = search("study.trials=4")
    assert after.left == 1
    assert after.suggest()[0] == 3
    assert [t.params.get("meta.lr") for t in after.suggester.trials[:3]] == [
        ran[0]["meta.lr"], None, ran[2]["meta.lr"]
    ]  # fmt: skip


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


NOT_FINITE = [float("nan"), float("inf"), float("-inf")]
KINDS = [
    *((f"study.searcher={name}",) for name in ("random", "tpe", "qmc", "gp", "nsga2", "cmaes")),
    *((f"study.scheduler={name}",) for name in ("asha", "hyperband", "median")),
    ("study.minimise=['validation/loss']", "study.scheduler=none", "study.searcher=nsga2"),
    ("study.leaders=1", "study.leader_seeds=1"),
]


@pytest.mark.parametrize("odd", NOT_FINITE)
@pytest.mark.parametrize("kind", KINDS, ids=lambda kind: kind[0])
def test_a_value_that_is_not_finite_is_a_failed_judgement_and_never_the_best(
    search, tmp_path, kind, odd
):
    more = (*kind, "study.trials=6", "study.startup_trials=2", "study.grace_epochs=3")
    opened, news = search(*more), []
    opened._on_trial = news.append
    numbers = []
    for turn in range(6):
        number, _ = opened.suggest()
        numbers.append(number)
        opened.begun(number)
        value = odd if turn % 2 == 0 else 0.1 + 0.01 * turn
        costs = {"validation/loss": odd if turn == 1 else 0.5} if "minimise" in kind[0] else {}
        state = "completed"
        for epoch in range(1, 10):
            if opened.reported(number, Report(epoch, value, costs=costs, latest=value)):
                state = "pruned"
                break
        opened.ended(number, state)
    table = trials_table(tmp_path / "ledger.jsonl")
    wrong = table["trial"].isin(numbers[::2])
    assert table["value"].isna().equals(wrong)
    assert best_of(table).number in numbers[1::2]
    assert all(n.value is None for n in news if n.number in numbers[::2])
    told = [t for t in opened.suggester.trials if t.state.name == "COMPLETE"]
    assert all(abs(value) < 1 for t in told for value in t.values)
    again = search(*more)
    assert [t.state for t in again.suggester.trials] == [t.state for t in opened.suggester.trials]
    assert again.suggest() == opened.suggest()  # a leader that was judged, where there is one


def edited(tmp_path, old, new):
    file = tmp_path / "mine.yaml"
    assert old in file.read_text()
    file.write_text(file.read_text().replace(old, new))


def remember(search, tmp_path, ledger="ledger.jsonl"):
    """The line that a study is opened with."""
    append_event(
        tmp_path / ledger, "space",
        space={"space": {}, "points": search._space.points},
        base=search._space.base.config.model_dump(mode="json"),
    )  # fmt: skip


HIDDEN = "  meta.hidden: {{type: int, low: {}, high: {}}}\npoints:"
EDITS = {
    "a choice taken out": ("values: [tensor, layer]", "values: [tensor]"),
    "a choice put in": ("values: [tensor, layer]", "values: [tensor, layer, block]"),
    "a range narrowed": ("low: 1.0e-4, high: 1.0e-2", "low: 9.0e-4, high: 2.0e-3"),
    "a range widened": ("low: 1.0e-4, high: 1.0e-2", "low: 1.0e-5, high: 1.0"),
    "a setting put in": ("points:", HIDDEN.format(50, 200)),
    "a setting put in elsewhere": ("points:", HIDDEN.format(1, 9)),
    "a setting taken out": (SPACE.splitlines(keepends=True)[6], ""),
    "another fixed value": ("epochs: 9}", "epochs: 9}, meta: {hidden: 7}"),
}  # fmt: skip


@pytest.mark.parametrize("searcher", ["tpe", "qmc", "nsga2", "cmaes", "gp"])
@pytest.mark.parametrize("edit", EDITS.values(), ids=EDITS)
def test_a_space_that_was_changed_is_searched_on(search, tmp_path, edit, searcher):
    more = ("study.trials=12", "study.startup_trials=2", f"study.searcher={searcher}")
    before = search(*more)
    remember(before, tmp_path)
    ran = [run_one(before) for _ in range(6)]
    under_way = before.suggest()
    edited(tmp_path, *edit)
    after = search(*more)
    space = after._space
    remember(after, tmp_path)
    number, settings = after.suggest()
    assert number == under_way[0]
    own = {"meta.hidden": 100, "meta.k": 4.0, **under_way[1]}
    assert settings.items() >= under_way[1].items()
    assert all(own[key] == value for key, value in settings.items())  # as it began
    inside = [
        params for params in [*ran, under_way[1]]
        if all(space.entries[k].contains(params.get(k, {"meta.hidden": 100}.get(k)))
               for k in space.entries if k in params or k == "meta.hidden")
    ]  # fmt: skip
    if "fixed" in edit[1] or edit[1].endswith("{hidden: 7}"):
        inside = []
    if edit[1] == "":  # those without meta.k ran as all would now
        inside = [params for params in inside if "meta.k" not in params]
    assert after.left_out == 7 - len(inside)
    told = [t.params for t in after.suggester.trials if t.params]
    assert len(told) == len(inside)
    assert all(t.get("meta.hidden", 100) == 100 for t in told)  # what they ran with
    table = trials_table(tmp_path / "ledger.jsonl")
    assert table["param.meta.lr"][:6].tolist() == [params["meta.lr"] for params in ran]
    new = [after.suggest() for _ in range(5)]
    assert [n for n, _ in new] == [7, 8, 9, 10, 11]
    assert after.suggest() is None
    assert all(space.entries[k].contains(v) for _, new_ in new for k, v in new_.items())


def test_a_grid_that_was_changed_runs_what_it_has_not_run(tmp_path):
    file = tmp_path / "grid.yaml"
    text = (
        "preset: digits\nsettings: {study: {searcher: grid}}\nspace:\n"
        "  meta.grouping: {type: choice, values: [tensor, layer]}\n"
        "  meta.lambda1: {type: float, low: 0, high: 0.3, step: 0.1}\n"
    )
    file.write_text(text)
    before = Search(load_space(str(file)), tmp_path / "ledger.jsonl")
    ran = [run_one(before, value=lambda settings: 0.5) for _ in range(3)]
    file.write_text(text.replace("[tensor, layer]", "[block, layer]").replace("0.3,", "0.2,"))
    after = Search(load_space(str(file)), tmp_path / "ledger.jsonl")
    assert (after.left, after.left_out) == (6, 3)
    file.write_text(text.replace("[tensor, layer]", "[tensor, layer, block]"))
    after = Search(load_space(str(file)), tmp_path / "ledger.jsonl")
    assert (after.left, after.left_out) == (9, 0)
    found = [after.suggest()[1] for _ in range(9)]
    assert all(settings not in ran for settings in found)
    assert after.suggest() is None


def test_points_that_are_put_in_later_come_next(search, tmp_path):
    before = search("study.trials=9")
    remember(before, tmp_path)
    run_one(before)
    run_one(before)
    edited(tmp_path, "1.0e-3}]", "1.0e-3}, {meta.lr: 2.0e-3}]")
    now = search("study.trials=9")
    remember(now, tmp_path)
    assert search("study.trials=9").suggest()[1]["meta.lr"] == 2e-3


def test_trials_that_fail_alike_stop_the_search(search):
    opened = search("study.trials=9")
    for number in range(3):
        opened.suggest()
        opened.begun(number)
        error = f"Traceback\nfamus_ray.errors.UserError: lr = 0.{number}: no"
        opened.ended(number, "failed", error)
    assert opened.suggest() is None
    assert not opened.may_go_on
    assert "3 trials in a row failed alike, the last with UserError: lr = 0.2: no" in (
        opened.failures.why_not_done()
    )
    assert search("study.trials=9").suggest()[0] == 3  # what began it is mended by then, perhaps


def test_trials_that_fail_for_different_reasons_or_between_others_do_not(search):
    opened = search("study.trials=20", "study.scheduler=none")
    for number in range(9):
        opened.suggest()
        opened.begun(number)
        opened.ended(number, "failed", f"ValueError: {'no' * (number // 2)}")
    assert "all 9 trials that ran failed" in opened.failures.why_not_done()
    for number in range(9, 15):
        opened.suggest()
        opened.ended(number, "pruned" if number % 3 == 0 else "failed", "ValueError: no")
    assert opened.suggest() is not None
    assert opened.failures.why_not_done() is None


def test_a_fault_of_the_machine_stops_the_search_at_once_and_is_tried_again(search):
    opened = search("study.trials=9")
    opened.suggest()
    opened.begun(0)
    opened.ended(0, "failed", "OSError: [Errno 28] No space left on device", fault=True)
    assert opened.suggest() is None
    why = opened.failures.why_not_done()
    assert "stopped at trial 0000, where the machine is at fault: OSError: [Errno 28]" in why
    assert search("study.trials=9").suggest()[0] == 0


@pytest.mark.parametrize("anew", [True, False])
def test_a_trial_that_failed_is_tried_again_when_asked(search, tmp_path, anew):
    opened = search("study.trials=2")
    remember(opened, tmp_path)
    for number in range(2):
        opened.suggest()
        opened.begun(number)
    opened.ended(0, "completed")
    opened.ended(1, "failed", "ValueError: no")
    assert search("study.trials=2").left == 0
    edited(tmp_path, "epochs: 9}", "epochs: 9}, meta: {hidden: 7}")
    remember(search("study.trials=2"), tmp_path)
    append_event(tmp_path / "ledger.jsonl", "retried", "0001", anew=anew)
    again = search("study.trials=2")
    number, settings = again.suggest()
    assert number == 1
    assert settings.get("meta.hidden") == (None if anew else 100)
    assert trials_table(tmp_path / "ledger.jsonl")["state"].tolist() == ["completed", "interrupted"]
    again.begun(1)
    again.ended(1, "completed")
    assert search("study.trials=2").left == 0


def test_a_failed_row_agrees_with_the_curves(search, tmp_path):
    def curves(*values):
        rows = [(e, "validation/top1", v) for e, v in enumerate(values, 1)]
        write_table(
            tmp_path / "trials" / "0000" / "curves.parquet", CURVES,
            pd.DataFrame(rows, columns=list(CURVES.columns)),
        )  # fmt: skip

    opened = search("study.trials=3")
    opened.suggest()
    opened.begun(0)
    opened.reported(0, Report(1, 0.25))
    curves(0.25, 0.5)  # the process was lost before it could tell
    opened.ended(0, "failed", "lost", lost=True)
    row = trials_table(tmp_path / "ledger.jsonl").iloc[0]
    assert (row["epochs"], row["value"]) == (2, 0.5)
    again = search("study.trials=3")
    again.suggest()
    again.begun(0)
    curves(0.125)  # it began from the first epoch, and was lost again
    again.ended(0, "failed", "lost", lost=True)
    row = trials_table(tmp_path / "ledger.jsonl").iloc[0]
    assert (row["epochs"], row["value"]) == (1, 0.125)
    assert len(read_events(tmp_path / "ledger.jsonl")) == 6


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
