"""report.html: one file that works offline, whatever the run or study came to."""

import shutil
import subprocess
import sys
from html.parser import HTMLParser

import pytest

import famus_ray
from famus_ray.reading.report import write_report
from famus_ray.records.ledger import append_event

SPACE = """\
preset: digits
space:
  optimiser.lr: {type: float, low: 0.01, high: 0.5, log: true}
  meta.gated_from: {type: choice, values: [all, last_stage]}
"""
EVIL = "</script><script src='http://evil.example/x.js'></script><img src=http://evil.example/y>"


@pytest.fixture(scope="module")
def run(tmp_path_factory):
    root = tmp_path_factory.mktemp("runs")
    overrides = (
        "schedule.epochs=1",
        "run.diagnose_every=1",
        f"run.root={root}",
    )
    path = famus_ray.train("digits", *overrides).path
    return path.rename(path.with_name("<b>one"))  # folders may be moved


def add_trial(
    study, run, trial_id, state, value=None, error=None, born=None, excess=None, costs=None,
    **params,
):  # fmt: skip
    """A trial in the ledger; where it has a value also the curves of a real run."""
    ledger = study / "ledger.jsonl"
    params = {"optimiser.lr": 0.1, "meta.gated_from": "all", **params}
    append_event(ledger, "started", trial_id, params=params, **(born or {}))
    if value is not None:
        epoch = (born or {}).get("from_epoch", 0) + 1
        report = {"epoch": epoch, "value": value, "seconds": 1.0, "excess": excess or {}}
        report["costs"] = costs or {}
        append_event(ledger, "reported", trial_id, **report)
        (study / "trials" / trial_id).mkdir(parents=True)
        shutil.copy(run / "curves.parquet", study / "trials" / trial_id)
    if state is not None:
        append_event(ledger, state, trial_id, **({} if error is None else {"error": error}))


@pytest.fixture
def study(tmp_path, run):
    """A study as its folder is before the first trial."""
    path = tmp_path / "study"
    path.mkdir()
    for name in ("config.yaml", "manifest.json", "labels.parquet"):
        shutil.copy(run / name, path)
    (path / "space.yaml").write_text(SPACE)
    return path


def add_completed(study, run, count=5):
    for i in range(count):
        params = {"optimiser.lr": 0.05 * (i + 1), "meta.gated_from": ("all", "last_stage")[i % 2]}
        add_trial(study, run, f"t{i}", "completed", 0.1 * (i + 1), **params)


class Page(HTMLParser):
    """What a browser would load and show."""

    def __init__(self, path):
        super().__init__()
        self.tags, self.loaded, self.words, self.figures = [], [], [], 0
        self.feed(path.read_text(encoding="utf-8"))
        self.text = " ".join(" ".join(self.words).split())

    def handle_starttag(self, tag, attrs):
        self.tags.append(tag)
        self.loaded += [v for k, v in attrs if k in ("src", "href", "srcset", "data", "action")]
        self.figures += ("class", "plotly-graph-div") in attrs

    def handle_data(self, data):
        if self.cdata_elem is None:  # neither script nor style
            self.words.append(data)


def assert_offline(page):
    assert page.loaded == []
    assert not {"link", "img", "iframe", "object", "embed"} & set(page.tags)
    assert page.figures > 0


def test_the_report_of_a_run_works_offline(run):
    path = write_report(run)
    assert path == run / "report.html"
    page = Page(path)
    assert_offline(page)
    assert "Right and wrong labels" in page.text
    assert "Weights of wrong labels" in page.text
    assert page.figures == 8  # accuracy, loss, two histograms, gates, gradient, weights twice
    assert "<b>one" in page.text  # its folder's name, which is no bold text


def test_the_report_of_a_study_works_offline_and_shows_its_trials(study, run):
    add_completed(study, run)
    page = Page(write_report(study))
    assert_offline(page)
    assert "best validation/top1 0.5000" in page.text
    assert "trials 5" in page.text
    assert "completed 5" in page.text
    assert "Share of the variance" in page.text
    assert "the setting may not matter at all" in page.text


def test_the_header_names_what_was_searched_and_speaks_of_noise_where_there_is_some(study, run):
    add_completed(study, run)
    assert "famus on digits, symmetric noise 40 % (" in Page(write_report(study)).text
    config = (study / "config.yaml").read_text()
    (study / "config.yaml").write_text(config.replace("kind: symmetric", "kind: none"))
    (study / "space.yaml").write_text(
        SPACE + "  method.name: {type: choice, values: [ce, famus]}\n"
        "  noise.rate: {type: float, low: 0.1, high: 0.6}\n"
    )
    assert "ce or famus on digits, no noise (" in Page(write_report(study)).text
    (study / "config.yaml").write_text(config)
    text = Page(write_report(study)).text
    assert "ce or famus on digits, symmetric noise, noise.rate searched (" in text


def test_how_trials_ended_is_shown_by_the_values_of_their_settings(study, run):
    add_completed(study, run)
    assert "How trials ended" not in Page(write_report(study)).text
    for i in range(3):
        lr = {"optimiser.lr": 0.4 + i / 100}
        add_trial(study, run, f"d{i}", "pruned", error="epoch 1: train/loss is nan", **lr)
    text = Page(write_report(study)).text
    assert "How trials ended by the values of each setting" in text
    assert "optimiser.lr 0.05 … 0.1 2 " in text
    assert "100 %" in text


def test_why_a_trial_was_pruned_is_in_the_table(study, run):
    add_completed(study, run)
    append_event(study / "ledger.jsonl", "pruned", "t0", reason="0.1 at epoch 1, rung 1")
    assert "pruned: 0.1 at epoch 1, rung 1" in Page(write_report(study)).text


def test_null_and_what_a_condition_left_out_look_different(study, run):
    add_completed(study, run, 2)
    add_trial(study, run, "n", "completed", 0.9, **{"meta.lookahead_lr": None})
    text = Page(write_report(study)).text
    assert "2 completed, best 0.9000 1 1.0 0.1 all null" in text
    assert "1 completed 0.2000 1 1.0 0.1 last_stage 0 completed" in text


def test_a_setting_is_drawn_as_it_was_searched(study, run):
    add_completed(study, run)
    assert '"type":"log"' in write_report(study).read_text()
    space = study / "space.yaml"
    space.write_text(space.read_text().replace(", log: true", ""))
    assert '"type":"log"' not in write_report(study).read_text()


def test_constraints_are_shown_with_what_breaks_them(study, run):
    bound = "time/step <= 0.02"
    add_trial(study, run, "a", "completed", 0.9, excess={bound: 0.125})
    add_trial(study, run, "b", "completed", 0.8, excess={bound: -0.015})
    page = Page(write_report(study))
    assert "break a constraint 1" in page.text
    assert f"Constraints: {bound} ." in page.text
    assert f"excess of {bound}" in page.text
    assert "1 completed, best 0.8000 -0.015 1" in page.text
    assert "0 completed, infeasible 0.9000 +0.125 1" in page.text


def test_a_study_without_constraints_or_children_does_not_speak_of_them(study, run):
    add_completed(study, run)
    text = Page(write_report(study)).text
    unfit = ("Constraints", "a constraint", "excess", "parent", "Schedules", "↳")
    assert not [words for words in unfit if words in text]


def test_replicas_stand_beneath_their_leader_and_the_best_is_marked(study, run):
    add_completed(study, run, 3)  # up to 0.3
    add_trial(study, run, "r1", "completed", 0.9, born={"replicates": 1})
    add_trial(study, run, "r2", "completed", 0.1, born={"replicates": 2})
    text = Page(write_report(study)).text
    places = [text.index(f"{row} completed") for row in ("1", "↳ 3", "2", "↳ 4", "0")]
    assert places == sorted(places)
    assert "1 completed, best 0.2000" in text
    assert "best validation/top1 0.9000 with 1 further seed; chosen at 0.2000" in text
    assert "trials 3 completed 3 completed (repeat) 2" in text


def test_the_pareto_front_comes_first_and_is_marked(study, run):
    for name, value, cost in (("a", 0.9, 3.0), ("b", 0.8, 4.0), ("c", 0.7, 2.0)):
        add_trial(study, run, name, "completed", value, costs={"time/step": cost})
    text = Page(write_report(study)).text
    shown = ("0 completed, Pareto front", "2 completed, Pareto front", "1 completed 0.8")
    assert [text.index(row) for row in shown] == sorted(text.index(row) for row in shown)


def test_the_schedules_of_a_population_are_drawn(study, run):
    add_trial(study, run, "a", "completed", 0.5, **{"optimiser.lr": 0.1})
    born = {"parent": 0, "from_epoch": 2}
    add_trial(study, run, "b", "completed", 0.6, born=born, **{"optimiser.lr": 0.125})
    page = Page(write_report(study))
    assert "parent from epoch" in page.text
    assert "trials 1 children 1" in page.text
    assert "1 completed, best 0 2 0.6000" in page.text
    assert page.text.count("Schedules") == 1
    assert page.figures == 1 + 1 + 2  # the curves, one schedule, a slice for each setting


def test_what_a_failed_trial_says_is_shown_and_never_run(study, run):
    add_completed(study, run)
    add_trial(study, run, "bad", "failed", error=f"ValueError: {EVIL}", **{"meta.gated_from": EVIL})
    page = Page(write_report(study))
    assert_offline(page)
    assert f"ValueError: {EVIL}" in page.text


def test_a_study_without_a_completed_trial_has_a_report(study, run):
    add_trial(study, run, "a", "pruned", 0.25)
    add_trial(study, run, "b", "failed", 0.2, error="boom")
    add_trial(study, run, "c", None, 0.1)
    page = Page(write_report(study))
    assert_offline(page)
    assert "best validation/top1 0.2500" in page.text
    assert "boom" in page.text
    assert "interrupted 1" in page.text


def test_a_study_whose_trials_all_failed_at_once_has_a_report_that_says_why(study, run):
    add_trial(study, run, "a", "failed", error="out of memory")
    page = Page(write_report(study))
    assert "out of memory" in page.text


def test_a_study_can_be_reported_without_the_preset_that_it_began_from(study, run):
    add_completed(study, run)
    (study / "space.yaml").write_text(SPACE.replace("preset: digits", "preset: elsewhere.yaml"))
    assert "best validation/top1 0.5000" in Page(write_report(study)).text


def test_a_folder_that_was_moved_can_be_reported(study, run, tmp_path):
    add_completed(study, run)
    moved = study.rename(tmp_path / "moved")
    assert "completed 5" in Page(write_report(moved)).text


def test_a_folder_without_results_is_refused(tmp_path):
    with pytest.raises(famus_ray.UserError, match=str(tmp_path)):
        write_report(tmp_path)
    assert list(tmp_path.iterdir()) == []


@pytest.mark.parametrize(
    "module", ["famus_ray.reading.report", "famus_ray.config", "famus_ray.spaces.space"]
)
def test_reading_needs_neither_torch_nor_ray(module):
    code = f"import sys, {module}; print({{'torch', 'ray'}} & set(sys.modules))"
    done = subprocess.run([sys.executable, "-c", code], capture_output=True, text=True, check=True)
    assert done.stdout.strip() == "set()"


def test_a_report_without_its_manifest_has_a_shorter_header_and_a_warning(run, tmp_path):
    copy = shutil.copytree(run, tmp_path / "copy")
    (copy / "manifest.json").write_text("{")
    with pytest.warns(UserWarning, match=r"manifest\.json: damaged .*; the report does without it"):
        page = Page(write_report(copy))
    assert "famus on digits, symmetric noise 40 %, preact_resnet" in page.text
    (copy / "manifest.json").unlink()
    with pytest.warns(UserWarning, match=r"has no manifest\.json, which every run"):
        write_report(copy)
