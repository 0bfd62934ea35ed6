"""Methods compared over seeds: means, intervals that cover, paired tests, ranks."""

from __future__ import annotations

import numpy as np
import pandas as pd
import pytest

import famus_ray as fr
from famus_ray.reading import compare
from famus_ray.reading.comparison import interval
from famus_ray.reading.text_tables import latex, markdown
from famus_ray.records.ledger import append_event
from famus_ray.records.tables import CURVES, write_table


def add_run(folder, method, seed, value, rate=0.4, epochs=2, more="", data="digits"):
    rows = [
        (epoch, metric, value)
        for epoch in range(1, epochs + 1)
        for metric in ("validation/top1", "test/top1", "time/step")
    ]
    write_table(folder / "curves.parquet", CURVES, pd.DataFrame(rows, columns=[*CURVES.columns]))
    (folder / "config.yaml").write_text(
        f"run: {{select: validation, seed: {seed}, name: r{seed}}}\nmethod: {{name: {method}}}\n"
        f"data: {{name: {data}}}\nnoise: {{kind: symmetric, rate: {rate}}}\n"
        f"schedule: {{epochs: 2}}\n{more}"
    )


VALUES = {"ce": [0.80, 0.84, 0.82], "famus": [0.90, 0.95, 0.91], "mwnet": [0.90, 0.94, 0.91]}


@pytest.fixture
def runs(tmp_path):
    for method, values in VALUES.items():
        for seed, value in enumerate(values, start=1):
            add_run(tmp_path / f"{method}-{seed}", method, seed, value)
    return tmp_path


def test_means_deviations_and_seeds_of_each_method(runs):
    table = compare(f"{runs}/*").table
    assert table["method.name"].tolist() == ["famus", "mwnet", "ce"]
    assert table["seeds"].tolist() == [3, 3, 3]
    row = table.iloc[2]
    assert (row["mean"], row["std"]) == (pytest.approx(0.82), pytest.approx(0.02))
    # Student's t with two degrees of freedom: 4.3027.
    assert row["high"] - row["mean"] == pytest.approx(4.3027 * 0.02 / 3**0.5, rel=1e-4)


def test_tests_are_paired_by_seed_and_corrected(runs):
    tests = compare(f"{runs}/*").tests.set_index(["first", "second"])
    row = tests.loc[("famus", "ce")]
    differences = np.array([0.10, 0.11, 0.09])
    assert (row["pairs"], row["difference"]) == (3, pytest.approx(0.10))
    t = differences.mean() / (differences.std(ddof=1) / 3**0.5)
    # Two-sided p of Student's t with two degrees of freedom, in closed form.
    assert row["p"] == pytest.approx(1 - t / (2 + t * t) ** 0.5)
    p = tests["p"].sort_values()
    expected = np.minimum(np.maximum.accumulate(p.to_numpy() * [3, 2, 1]), 1)
    assert tests.loc[p.index, "p_holm"].tolist() == pytest.approx(expected.tolist())


def test_seeds_that_only_one_method_has_are_not_paired(runs):
    add_run(runs / "famus-9", "famus", 9, 0.1)
    found = compare(f"{runs}/*")
    assert found.tests.set_index(["first", "second"]).loc[("mwnet", "famus"), "pairs"] == 3
    assert found.table.set_index("method.name").loc["famus", "seeds"] == 4


def test_ranks_over_data_sets_and_noise_rates(runs):
    for method, value in (("ce", 0.9), ("famus", 0.8), ("mwnet", 0.8)):
        for seed in (1, 2):
            add_run(runs / f"six-{method}-{seed}", method, seed, value, rate=0.6, data="other")
    ranks = compare(f"{runs}/*").ranks
    assert ranks["digits symmetric 0.4"].to_dict() == {"famus": 1.0, "mwnet": 2.0, "ce": 3.0}
    assert ranks["other symmetric 0.6"].to_dict() == {"ce": 1.0, "famus": 2.5, "mwnet": 2.5}
    assert ranks["mean rank"].tolist() == [1.75, 2.0, 2.25]


def test_differences_without_any_spread_have_no_p(runs):
    for method, value in (("a", 0.5), ("b", 0.6)):
        for seed in (1, 2):
            add_run(runs / f"{method}{seed}", method, seed, value, rate=0.6)
    tests = compare(f"{runs}/*").tests
    assert tests.loc[tests["noise.rate"] == 0.6, "p"].isna().all()
    assert tests.loc[tests["noise.rate"] == 0.4, "p_holm"].notna().all()


def test_a_run_that_has_not_finished_is_left_out_and_named(runs):
    add_run(runs / "famus-4", "famus", 4, 0.99, epochs=1)
    with pytest.warns(UserWarning, match=r"famus-4: left out, it has finished 1 of 2 epochs"):
        assert compare(f"{runs}/famus-*").table["seeds"].tolist() == [3]


def test_runs_that_differ_in_more_than_the_seed_are_told(runs):
    add_run(runs / "famus-4", "famus", 4, 0.99, more="optimiser: {lr: 0.5}\n")
    add_run(runs / "famus-5", "famus", 5, 0.98, more="optimiser: {lr: 0.1}\n")
    with pytest.warns(UserWarning, match=r"famus: its runs differ in optimiser\.lr; name that"):
        compare([runs / "famus-4", runs / "famus-5"])
    found = compare([runs / "famus-4", runs / "famus-5"], by=["optimiser.lr"])
    assert found.table["optimiser.lr"].tolist() == [0.5, 0.1]


def test_a_study_counts_with_the_further_seeds_of_its_leader(runs, tmp_path):
    study = tmp_path / "s"
    study.mkdir()
    (study / "space.yaml").write_text("space: {}")
    (study / "config.yaml").write_text("study: {metric: validation/top1}")
    for number, (value, born) in enumerate(
        [(0.99, {}), (0.5, {}), (0.7, {"replicates": 0}), (0.8, {"replicates": 0})]
    ):
        name = f"{number:04d}"
        append_event(study / "ledger.jsonl", "started", name, params={}, **born)
        append_event(study / "ledger.jsonl", "reported", name, epoch=2, value=value, seconds=1.0)
        append_event(study / "ledger.jsonl", "completed", name)
        add_run(study / "trials" / name, "famus", 10 + number, value)
    assert compare([study]).values["value"].tolist() == [0.7, 0.8]


@pytest.mark.parametrize(
    ("more", "found"),
    [
        ({"by": ["method.nmae"]}, "has no setting method.nmae, did you mean 'method.name'"),
        ({"measure": "last"}, "measure = last: must be last10, best, seconds_per_step"),
        ({"level": 95}, "level = 95: must lie between 0 and 1"),
    ],
)
def test_what_cannot_be_compared_is_refused(runs, more, found):
    with pytest.raises(fr.UserError, match=found):
        compare(f"{runs}/*", **more)


@pytest.mark.parametrize("seeds", [5, 7, 10])
@pytest.mark.parametrize("shape", ["normal", "accuracy"])
def test_intervals_cover_the_mean_in_95_of_100_cases(seeds, shape):
    rng = np.random.default_rng(seeds)
    if shape == "normal":
        true, draws = 0.9, rng.normal(0.9, 0.01, (4000, seeds))
    else:  # near 1 the deviations below are larger than those above
        true, draws = 0.96, rng.beta(96, 4, (4000, seeds))
    covered = [low <= true <= high for low, high in map(interval, draws)]
    assert 0.92 <= np.mean(covered) <= 0.98


def test_one_seed_has_no_interval(runs):
    row = compare([runs / "ce-1"]).table.iloc[0]
    assert row["seeds"] == 1
    assert np.isnan([row["std"], row["low"], row["high"]]).all()


def test_tables_of_text_say_how_they_were_made_and_mark_the_best(runs):
    found = compare(f"{runs}/*")
    text = found.to_markdown()
    assert "| famus | **92.00 ± 2.65 (3)** |" in text
    assert "| ce | 82.00 ± 2.00 (3) |" in text
    assert "corrected by Holm's method" in text
    assert "famus & \\textbf{92.00 $\\pm$ 2.65 (3)} \\\\" in found.to_latex()


def test_signs_of_markdown_and_latex_are_escaped():
    frame = pd.DataFrame({"a|b_c": ["x|y\nz", "50 % & more"], "n": [0.5, None]})
    assert markdown(frame) == (
        "| a\\|b_c | n |\n| --- | ---: |\n| x\\|y z | 0.5 |\n| 50 % & more |  |\n"
    )
    assert latex(frame).splitlines()[2:5] == [r"a|b\_c & n \\", r"\midrule", r"x|y z & 0.5 \\"]
    assert r"50 \% \& more & " in latex(frame)
