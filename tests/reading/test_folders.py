"""What is said of folders that are not what they should be."""

import pytest

from famus_ray import UserError, load_curves, load_trials, resume
from famus_ray.reading.report import write_report
from famus_ray.records.folders import load_config


def files(folder, *names):
    folder.mkdir(parents=True, exist_ok=True)
    for name in names:
        (folder / name).write_text("a: 1\n")
    return folder


@pytest.mark.parametrize("read", [load_curves, load_trials, write_report, resume])
def test_a_folder_of_something_else(tmp_path, read):
    with pytest.raises(UserError, match=r"neither a run nor a study: it has no config\.yaml"):
        read(files(tmp_path, "notes.txt"))


@pytest.mark.parametrize("read", [load_curves, write_report])
def test_a_run_before_its_first_epoch(tmp_path, read):
    with pytest.raises(UserError, match="has not finished an epoch yet"):
        read(files(tmp_path, "config.yaml", "manifest.json"))


def test_a_run_has_no_trials(tmp_path):
    with pytest.raises(UserError, match="a run, not a study"):
        load_trials(files(tmp_path, "config.yaml"))


@pytest.mark.parametrize("read", [load_curves, load_trials])
def test_a_study_without_its_ledger(tmp_path, read):
    with pytest.raises(UserError, match=r"ledger\.jsonl, which holds its trials, is gone"):
        read(files(tmp_path, "config.yaml", "space.yaml"))


@pytest.mark.parametrize("text", ["", "a: [", "\t"])
def test_a_damaged_config(tmp_path, text):
    (files(tmp_path, "curves.parquet") / "config.yaml").write_text(text)
    with pytest.raises(UserError, match=r"config\.yaml: damaged \("):
        load_config(tmp_path)
