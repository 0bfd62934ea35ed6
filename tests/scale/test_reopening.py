"""A study whose space or settings were edited: what goes on, what is told, what is refused."""

import json
import shutil

import pytest

from famus_ray.errors import UserError
from famus_ray.reading.folders import load_trials
from famus_ray.reading.report import write_report
from famus_ray.records.folders import load_config
from famus_ray.records.ledger import append_event, read_events
from famus_ray.records.run_folder import RunFolder, config_text
from famus_ray.records.saved_space import saved_space
from famus_ray.records.tables import CURVES, write_table
from famus_ray.scale.reopening import reopened
from famus_ray.scale.reports import Report
from famus_ray.scale.search import Search
from famus_ray.scale.study import extend_study, resume_study
from famus_ray.spaces.space import load_space
from famus_ray.spaces.trial_config import trial_config
from famus_ray.training.loop import checked_data
from tests.reading.test_study_folder import curves_of

SPACE = """
preset: digits
settings: {schedule: {epochs: 3}, model: {widths: [8, 8, 16]}, study: {trials: 6}}
space:
  meta.lr: {type: float, low: 1.0e-4, high: 1.0e-2, log: true}
  meta.grouping: {type: choice, values: [tensor, layer]}
  optimiser.lr: {type: float, low: 0.01, high: 0.1}
"""


@pytest.fixture(scope="module")
def begun(tmp_path_factory):
    """A study of six trials that have all ended, as if it had run."""
    path = tmp_path_factory.mktemp("begun")
    (path / "space.yaml").write_text(SPACE)
    space = load_space(str(path / "space.yaml"))
    RunFolder(path).begin(space.base.config, checked_data(space.base.config))
    reopened(path, space).write()
    search = Search(space, path / "ledger.jsonl")
    for turn in range(6):
        number, settings = search.suggest()
        search.begun(number)
        folder = path / "trials" / f"{number:04d}"
        values = [0.1 + 0.01 * turn + 0.1 * epoch for epoch in range(3)]
        write_table(
            folder / "curves.parquet", CURVES,
            curves_of(validation__top1=values, test__top1=values, train__loss=values),
        )  # fmt: skip
        config = trial_config(space.base.config.model_dump(mode="json"), settings)
        (folder / "config.yaml").write_text(config_text(config))
        for epoch, value in enumerate(values, 1):
            search.reported(number, Report(epoch, value))
        search.ended(number, "completed")
    return path


@pytest.fixture
def study(begun, tmp_path):
    return shutil.copytree(begun, tmp_path / "study")


def edit(study, old, new, file="space.yaml"):
    text = (study / file).read_text()
    assert old in text
    (study / file).write_text(text.replace(old, new))


def contents(study):
    return {p.name: p.read_bytes() for p in study.iterdir() if p.is_file()}


REFUSED = {
    "a misspelt key": ("  meta.lr:", "  meta.lrr:", "meta.lrr: not a setting, did you mean"),
    "a misspelt setting": ("{trials: 6}}", "{trials: 6}, optimizer: {lr: 1}}", "optimizer.lr: un"),
    "an impossible value": ("0.01, high: 0.1", "-1, high: 0.1", "optimiser.lr = -1"),
    "another type": (
        "{type: float, low: 0.01, high: 0.1}", "{type: choice, values: [0.1, 0.2]}",
        "optimiser.lr.type = choice: its trials were searched as float",
    ),
    "another objective": ("{trials: 6}", "{trials: 6, minimise: [time/step], scheduler: none}",
                          "study.minimise = ['time/step']: was []"),
    "another length": ("{epochs: 3}", "{epochs: 4}", "schedule.epochs = 4: was 3"),
    "other data": ("{epochs: 3}", "{epochs: 3}, noise: {kind: symmetric, rate: 0.7}",
                   "noise.rate = 0.7: was 0.4"),
    "another preset": ("preset: digits", "preset: cifar10", "preset = cifar10: was digits"),
    "no YAML": ("space:", "space: [", "line"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "message"), REFUSED.values(), ids=REFUSED)
def test_what_cannot_go_on_is_refused_before_anything_is_written(study, old, new, message):
    edit(study, old, new)
    before = contents(study)
    for go_on in (lambda: resume_study(study), lambda: extend_study(study, 2)):
        with pytest.raises(UserError) as caught:
            go_on()
        assert message in str(caught.value)
        assert contents(study) == before


def test_an_objective_that_is_changed_in_the_config_is_refused(study):
    edit(study, "minimise: []", "minimise: [time/step]", "config.yaml")
    edit(study, "scheduler: asha", "scheduler: none", "config.yaml")
    with pytest.raises(UserError, match=r"study\.minimise = \['time/step'\]: was \[\]"):
        resume_study(study)


def test_an_older_ledger_knows_types_and_objectives_from_its_trials(study):
    ledger = study / "ledger.jsonl"
    lines = [line for line in ledger.read_text().splitlines(keepends=True) if '"space"' not in line]
    ledger.write_text("".join(lines))
    assert resume_study(study) == 0  # unedited
    ledger.write_text("".join(lines))
    edit(study, "{type: choice, values: [tensor, layer]}", "{type: int, low: 1, high: 2}")
    with pytest.raises(UserError, match=r"meta\.grouping\.type = int: trial 0000 ran with"):
        resume_study(study)


EDITS = {
    "a choice taken out": ("[tensor, layer]", "[layer]", "meta.grouping is layer, was tensor"),
    "a range narrowed": ("0.01, high: 0.1", "0.05, high: 0.06", "optimiser.lr is 0.05 … 0.06, was"),
    "a setting put in": (
        "  meta.lr", "  meta.hidden: {type: int, low: 1, high: 9}\n  meta.lr",
        "meta.hidden is searched (1 … 9)",
    ),
    "a setting fixed": (
        "  meta.grouping: {type: choice, values: [tensor, layer]}\n", "",
        'meta.grouping is no longer searched, and "layer"',
    ),
    "another fixed value": ("[8, 8, 16]}", "[8, 8, 16]}, meta: {k: 2}", "meta.k is 2.0, was 4.0"),
}  # fmt: skip


@pytest.mark.parametrize(("old", "new", "line"), EDITS.values(), ids=EDITS)
def test_what_can_go_on_is_told_and_every_reader_reads_on(study, old, new, line):
    before, lines = load_trials(study), []
    edit(study, old, new)
    assert resume_study(study, tell=lines.append) == 0
    assert line in lines[0]
    told = Search(saved_space(study), study / "ledger.jsonl")
    outside = [text for text in lines if "lie outside of the space" in text]
    assert bool(outside) == bool(told.left_out)
    assert load_trials(study).equals(before)
    assert "best" in write_report(study).read_text()
    assert resume_study(study, tell=(again := []).append) == 0
    assert not any(text.startswith("changed") for text in again)


def test_an_edited_fixed_value_is_in_the_config_from_then_on(study):
    edit(study, "[8, 8, 16]}", "[8, 8, 16]}, meta: {k: 2}")
    resume_study(study)
    assert load_config(study)["meta"]["k"] == 2
    assert saved_space(study).base.config.meta.k == 2


def test_a_study_with_an_empty_ledger_is_not_trained_anew(study):
    before = load_trials(study)
    (study / "ledger.jsonl").write_text("")
    assert resume_study(study) == 0
    after = load_trials(study)
    assert after[["trial", "state", "value"]].equals(before[["trial", "state", "value"]])
    kept = [e for e in read_events(study / "ledger.jsonl") if e["event"] == "started"]
    assert len(kept) == 6


def test_a_study_whose_space_is_gone_is_still_reported(study):
    (study / "space.yaml").unlink()
    with pytest.raises(UserError, match=r"it has no space\.yaml"):
        resume_study(study)
    with pytest.warns(UserWarning, match=r"space\.yaml: cannot be read.* the report does without"):
        assert "best" in write_report(study).read_text()


def test_trials_that_failed_are_tried_again_when_asked(study):
    append_event(study / "ledger.jsonl", "started", "0006", params={"meta.lr": 1e-3})
    append_event(study / "ledger.jsonl", "failed", "0006", error="OSError: damaged image")
    (study / "trials" / "0006").mkdir()
    opened = reopened(study, saved_space(study))
    opened.write(retry_failed=True)
    assert (opened.retried, (study / "trials" / "0006").is_dir()) == (1, False)
    assert json.loads((study / "ledger.jsonl").read_text().splitlines()[-1])["anew"] is True
    assert load_trials(study)["state"].tolist() == ["completed"] * 6 + ["interrupted"]
    assert Search(saved_space(study), study / "ledger.jsonl").suggest()[0] == 6
