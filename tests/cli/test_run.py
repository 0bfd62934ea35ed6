"""`famus-ray train` and `resume` of a run: what they print, write, refuse and return."""

import json
import shutil

import pytest
import yaml

import famus_ray as fr

SHORT = ("train", "digits", "schedule.epochs=1")


def test_a_dry_run_shows_each_setting_with_its_source_and_writes_nothing(here, tmp_path):
    code, stdout, _ = here(*SHORT, "--name", "x", "--dry-run")
    assert code == 0
    lines = {line.split("#")[0].strip(): line for line in stdout.splitlines()}
    assert lines["epochs: 1"].endswith("# command line")
    assert lines["name: x"].endswith("# command line")
    assert lines["rate: 0.4"].endswith("# digits")
    assert lines["hidden: 100"].endswith("# default")
    assert "18 steps x 1 epochs" in stdout  # 1,194 training examples in batches of 64
    assert yaml.safe_load(stdout)["schedule"]["epochs"] == 1
    assert list(tmp_path.iterdir()) == []


def test_a_dry_run_as_json_has_config_sources_and_cost(here, tmp_path):
    _, stdout, _ = here(*SHORT, "--dry-run", "--json")
    content = json.loads(stdout)
    assert content["config"]["schedule"]["epochs"] == 1
    assert content["sources"]["schedule.epochs"] == "command line"
    assert content["cost"]["steps"] == 18
    assert content["cost"]["seconds"] > 0
    assert list(tmp_path.iterdir()) == []


WHAT_TRAINING_REFUSES = {
    "run.batch_size=5000": "run.batch_size = 5000: more than the",
    "data.validation_fraction=0": "leaves nothing to select the best epoch on",
    "model.name=resnt18 model.widths=[8]": "did you mean 'resnet18'",
    "model.name=resnet18 model.widths=[8]": "set model.widths=null",
    "model.widths=[8,8]": "preact_resnet8 has 3 stages",
    "run.device=cuda": "no GPU here",
    "--name taken": "taken: there already, interrupted after 0 of 9 epochs: `famus-ray resume "
    "runs/taken` goes on with it; or choose another --name",
    "--name 'a\nb'": "such as 'a-b'",
    "--name 'a\tb'": "such as 'a-b'",
    "'run.name=$PATH'": "such as 'PATH'",
    "--name ../x": "such as 'x'",
    "--name /tmp/x": "such as 'tmp/x'",
    "--name .hidden": "such as 'hidden'",
    f"--name {'x' * 300}": "is at most 200 bytes long",
    "'run.root=\"a\\nb\"'": "run.root = 'a\\nb': must be a folder's path",
    f"run.root={'x' * 300}": "cannot be a folder (File name too long)",
    "run.root=~nobody_of_this_name/x": "cannot be a folder",
    "run.root=a_file": "a_file: is a file",
    "--resume": "say which run",
}


@pytest.mark.parametrize("dry", [(), ("--dry-run",)], ids=["train", "dry run"])
@pytest.mark.parametrize(
    ("more", "found"), WHAT_TRAINING_REFUSES.items(), ids=WHAT_TRAINING_REFUSES
)
def test_what_training_refuses_its_dry_run_refuses(refused, tmp_path, more, found, dry):
    (tmp_path / "runs" / "taken").mkdir(parents=True)
    (tmp_path / "runs" / "taken" / "config.yaml").write_text(
        "{data: {name: digits}, method: {name: ce}, schedule: {epochs: 9}}"
    )
    (tmp_path / "a_file").write_text("not a folder")
    stdout = refused(" ".join([*SHORT, more, *dry]), found)
    assert not stdout or "epochs: 1" in stdout  # the settings are shown all the same


WITHOUT_DATA = {
    "data.name=cifar100": "set data.root=FOLDER",
    "data.name=cifar10 data.root=/nowhere": "data.root = /nowhere: no such folder",
}


@pytest.mark.parametrize(("more", "found"), WITHOUT_DATA.items(), ids=WITHOUT_DATA)
def test_settings_are_looked_at_without_the_data_but_not_trained(here, refused, more, found):
    refused(" ".join([*SHORT, more]), found)
    code, stdout, _ = here(*SHORT, *more.split(), "--dry-run")
    assert code == 0
    assert stdout.splitlines()[-1].startswith("# cost: unknown without the data")
    assert found in stdout
    code, stdout, _ = here(*SHORT, *more.split(), "--dry-run", "--json")
    assert code == 0
    assert json.loads(stdout)["cost"] is None


def test_a_dry_run_refuses_more_workers_than_there_are_cores(refused):
    more = "run.batch_size=640 --workers 640 --dry-run"
    refused(f"{' '.join(SHORT)} {more}", "640 workers x 1 CPU need 640 CPUs")


def test_an_option_wins_over_the_setting_that_it_stands_for(here):
    both = ("--name", "option", "run.name=setting", "--workers", "1", "scale.workers=2")
    _, stdout, _ = here(*SHORT, *both, "--dry-run", "--json")
    config = json.loads(stdout)["config"]
    assert (config["run"]["name"], config["scale"]["workers"]) == ("option", 1)


def test_train_prints_json_and_nothing_else(trained):
    folder, stdout = trained
    result = json.loads(stdout)
    assert (result["path"], result["epochs"], result["best_epoch"]) == ("runs/x", 1, 1)
    assert 0 <= result["best"] <= 1
    assert result["selected_on"] == "validation"
    assert (folder / result["path"] / "samples.parquet").is_file()


@pytest.mark.parametrize("again", [("resume", "x"), (*SHORT, "--name", "x", "--resume")])
@pytest.mark.parametrize("checkpoints", ["there", "gone"])
def test_a_finished_run_resumed_says_so_and_prints_the_same(
    here, trained, tmp_path, again, checkpoints
):
    copy = tmp_path / "runs" / "x"
    shutil.copytree(trained[0] / "runs" / "x", copy)
    if checkpoints == "gone":
        shutil.rmtree(copy / "checkpoints")
    before = {path: path.read_bytes() for path in copy.rglob("*.*")}
    code, stdout, stderr = here(*again, "--json")
    assert (code, stdout) == (0, trained[1])
    assert stderr.splitlines()[1:] == ["nothing was left to do: all 1 epochs are there"]
    assert {path: path.read_bytes() for path in copy.rglob("*.*")} == before


@pytest.fixture
def unfinished(trained, tmp_path):
    """The run x in this folder, stopped before its last division."""
    copy = tmp_path / "runs" / "x"
    shutil.copytree(trained[0] / "runs" / "x", copy)
    (copy / "samples.parquet").unlink()
    return copy


def test_a_run_whose_checkpoints_are_gone_is_not_trained_again(refused, unfinished):
    shutil.rmtree(unfinished / "checkpoints")
    refused("resume x", "its curves reach epoch 1, but runs/x/checkpoints/last.pt is gone")


def test_a_run_cut_between_its_first_curves_and_its_first_checkpoint_is_resumed(here, unfinished):
    (unfinished / "checkpoints" / "last.pt").unlink()
    code, _, stderr = here("resume", "x")
    assert code == 0
    assert stderr.startswith("going on with the run in runs/x\nx 1/1")


def test_a_damaged_checkpoint_is_named(refused, unfinished):
    (unfinished / "checkpoints" / "last.pt").write_bytes(b"junk")
    refused("resume x", "last.pt: not a readable checkpoint")


def test_a_run_cannot_be_resumed_with_another_setting(refused, unfinished):
    more = "--name x --resume optimiser.lr=0.3 run.threads=1"  # threads change no number
    refused(f"{' '.join(SHORT)} {more}", "same run: optimiser.lr is 0.05 there and 0.3 here\n")


def test_settings_of_studies_do_not_matter_to_a_resumed_run(here, unfinished):
    assert here(*SHORT, "--name", "x", "--resume", "study.trials=3")[0] == 0


def test_a_run_can_be_reported_by_its_name(here, unfinished):
    code, stdout, _ = here("report", "x", "--json")
    assert code == 0
    page = unfinished.parents[1] / json.loads(stdout)["report"]
    assert page.read_text(encoding="utf-8").startswith("<!doctype")


def test_no_run_to_resume(refused):
    refused("resume nope", "nope: no such run or study")


def test_a_run_says_what_share_of_its_labels_is_wrong(here, trained):
    path = trained[0] / "runs" / "x"
    labels = fr.load_samples(path)
    share = (labels["label"] != labels["true_label"]).mean()
    code, out, _ = here("resume", str(path))
    assert code == 0
    assert f"wrong training labels: {share:.1%} of {len(labels)}\n" in out
