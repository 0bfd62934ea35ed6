"""Runs and studies in an object store: a server of S3's protocol on loopback, machines apart.

A machine is a cache folder of its own, so two of them share nothing but the store.
"""

import logging
import os
import signal
import subprocess
import sys
import time
from pathlib import Path

import pandas as pd
import pytest

import famus_ray as fr
from famus_ray import store
from famus_ray.config.schema import DataConfig
from famus_ray.data.made_up import make
from famus_ray.data.readers import read_source
from famus_ray.data.shards.prepare import prepare
from famus_ray.files import write_text
from famus_ray.records.ledger import append_event, read_events
from famus_ray.records.tables import CURVES, write_table
from famus_ray.scale.stopping import machine_fault

PROGRAM = str(Path(sys.executable).with_name("famus-ray"))
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
}  # fmt: skip


@pytest.fixture(scope="module")
def bucket():
    """The URL of an empty bucket, by its query on a server of this test."""
    boto3 = pytest.importorskip("boto3")
    from moto.server import ThreadedMotoServer

    os.environ.update(KEYS)
    logging.getLogger("werkzeug").setLevel(logging.ERROR)
    server = ThreadedMotoServer("127.0.0.1", 0)
    server.start()
    host, port = server.get_host_and_port()
    boto3.client("s3", endpoint_url=f"http://{host}:{port}").create_bucket(Bucket="runs")
    yield lambda path: f"s3://runs/{path}?scheme=http&endpoint_override={host}:{port}"
    server.stop()


@pytest.fixture
def machine(tmp_path, monkeypatch):
    """Puts this process on a machine that has a cache folder of its own."""

    def go_to(name):
        monkeypatch.setenv("XDG_CACHE_HOME", str(tmp_path / name))
        monkeypatch.setattr(store.copies, "_seen", {})
        return tmp_path / name

    go_to("first")
    return go_to


def test_a_path_of_a_working_copy_says_which_url_it_stands_for(machine):
    url = "s3://runs/mine/a?scheme=http&endpoint_override=127.0.0.1:9"
    copy = store.working_copy(url)
    assert copy.parts[-2:] == ("mine", "a")
    assert store.shown(copy) == url
    assert store.shown("runs/a") == "runs/a"
    assert not store.is_url("runs/a")


def test_several_runs_of_a_store_are_read_by_a_pattern(bucket, machine):
    curves = pd.DataFrame({"epoch": [1], "metric": ["test/top1"], "value": [0.5]})
    for name in ("ce-1", "ce-2", "other"):
        copy = store.working_copy(bucket(f"several/{name}"))
        write_table(copy / "curves.parquet", CURVES, curves)
        write_text(copy / "config.yaml", "run: {}")
    machine("second")
    frame = fr.load_curves(bucket("several/ce-*"))
    assert frame["run"].tolist() == [bucket("several/ce-1"), bucket("several/ce-2")]


def test_files_are_the_same_on_another_machine_and_its_changes_come_back(bucket, machine):
    url = bucket("files/job")
    first = store.working_copy(url)
    write_text(first / "trials" / "0000" / "config.yaml", "a: 1")
    write_text(first / "checkpoints" / "last.pt", "large")
    append_event(first / "ledger.jsonl", "opened")
    machine("second")
    second = store.working_copy(url)
    assert second != first
    store.download(second)
    assert (second / "trials/0000/config.yaml").read_text() == "a: 1"
    assert [event["event"] for event in read_events(second / "ledger.jsonl")] == ["opened"]
    assert not (second / "checkpoints").exists()
    store.download(second, heavy=True)
    assert (second / "checkpoints/last.pt").read_text() == "large"
    time.sleep(1.1)  # times in a store are whole seconds
    write_text(second / "trials" / "0000" / "config.yaml", "a: 2")
    machine("first")
    store.download(first)
    assert (first / "trials/0000/config.yaml").read_text() == "a: 2"


def test_a_file_that_was_not_uploaded_yet_is_kept(bucket, machine):
    copy = store.working_copy(bucket("kept/job"))
    write_text(copy / "a.txt", "old")
    (copy / "a.txt").write_text("newer")
    os.utime(copy / "a.txt", (time.time() + 5, time.time() + 5))
    store.download(copy)
    assert (copy / "a.txt").read_text() == "newer"


def test_a_store_that_is_away_is_waited_for_and_then_named(machine, monkeypatch):
    copy = store.working_copy("s3://runs/a?scheme=http&endpoint_override=127.0.0.1:9")
    monkeypatch.setattr(store.system, "_PATIENCE", 1.0)
    with pytest.raises(store.StoreAway, match=r"s3://runs.*127.0.0.1:9: no answer after"):
        write_text(copy / "a.txt", "x")
    assert (copy / "a.txt").read_text() == "x"


def test_a_scheme_that_nobody_knows_is_one_message(machine):
    with pytest.raises(fr.UserError, match=r"run.root = nowhere://runs: .*nowhere"):
        fr.train("digits", "run.root=nowhere://runs", "schedule.epochs=1", quiet=True)


def test_a_killed_run_goes_on_on_a_machine_that_has_the_store_alone(bucket, machine, tmp_path):
    line = (
        PROGRAM, "train", "digits", "method=ce", "schedule.epochs=6", "run.threads=1",
        f"run.root={bucket('killed')}", "--name", "job", "--or-resume",
    )  # fmt: skip
    first, second = machine("first"), machine("second")
    copy = store.working_copy(bucket("killed/job")).relative_to(second)
    environment = {**os.environ, "XDG_CACHE_HOME": str(first)}
    process = subprocess.Popen(line, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    while not (first / copy / "checkpoints" / "last.pt").is_file():
        assert process.poll() is None
        time.sleep(0.01)
    time.sleep(0.5)
    process.send_signal(signal.SIGKILL)
    process.wait()
    environment["XDG_CACHE_HOME"] = str(second)
    done = subprocess.run(
        line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    assert "going on with" in done.stderr
    assert "s3://runs/killed/job" in done.stdout
    whole = fr.train(
        "digits", "method=ce", "schedule.epochs=6", "run.threads=1", f"run.root={tmp_path}",
        quiet=True,
    )  # fmt: skip
    machine("third")
    found, expected = (fr.load_curves(run) for run in (bucket("killed/job"), whole.path))
    same = ~found["metric"].str.startswith("time/")
    assert found[same]["value"].tolist() == expected[same]["value"].tolist()
    assert len(fr.load_labels(bucket("killed/job"))) == len(fr.load_labels(whole.path))


def test_names_are_new_in_the_store_not_only_here(bucket, machine):
    few = ("schedule.epochs=1", "method=ce", "run.threads=1", f"run.root={bucket('named')}")
    assert fr.train("digits", *few, quiet=True).path.name == "digits-ce"
    machine("second")
    assert fr.train("digits", *few, quiet=True).path.name == "digits-ce-2"
    with pytest.raises(fr.UserError, match="there already"):
        fr.train("digits", *few, "run.name=digits-ce", quiet=True)


def test_shards_are_read_where_they_are(bucket, machine, tmp_path):
    images, shards = tmp_path / "images", tmp_path / "shards"
    make("folders", images, images=40, size=20)
    settings = {
        "noise": {"kind": "none"}, "method": "ce", "schedule": {"epochs": 1}, "quiet": True,
        "model": {"name": "preact_resnet8"},
        "run": {"root": str(tmp_path), "threads": 1, "batch_size": 8},
    }  # fmt: skip
    data = {"image_size": 16, "storage": "disk", "meta_per_class": 0}
    source = read_source(DataConfig(name="folders", root=str(images), **data))
    prepare(source, "folders", shards, per_shard=12)
    system, prefix = store.system.file_system(bucket(""))
    for path in shards.iterdir():
        with system.open_output_stream(f"{prefix}/shards/{path.name}") as stream:
            stream.write(path.read_bytes())
    there = fr.train(None, data={"name": "shards", "root": bucket("shards"), **data}, **settings)
    here = fr.train(None, data={"name": "shards", "root": str(shards), **data}, **settings)
    found, expected = (fr.load_curves(run.path) for run in (there, here))
    same = ~found["metric"].str.startswith("time/")
    assert found[same]["value"].tolist() == expected[same]["value"].tolist()
    assert not [*machine("first").rglob("*.parquet")]  # nothing was copied to this machine
    with pytest.raises(fr.UserError, match="of data in an object store shards are read only"):
        fr.train(None, data={"name": "folders", "root": bucket("shards"), **data}, **settings)


SPACE = """
preset: digits
settings: {method: ce, schedule: {epochs: 30}, study: {trials: 3, concurrent: 1, scheduler: none}}
space: {optimiser.lr: {type: float, low: 0.01, high: 0.1}}
"""


@pytest.mark.ray
@pytest.mark.faults
def test_a_killed_study_goes_on_on_a_machine_that_has_the_store_alone(
    bucket, machine, tmp_path, kill_with_children
):
    (tmp_path / "space.yaml").write_text(SPACE, encoding="utf-8")
    line = (
        PROGRAM, "tune", "space.yaml", "run.threads=1", f"run.root={bucket('study')}",
        "--name", "job", "--or-resume",
    )  # fmt: skip
    first, second = machine("first"), machine("second")
    copy = store.working_copy(bucket("study/job")).relative_to(second)
    environment = {**os.environ, "XDG_CACHE_HOME": str(first)}
    process = subprocess.Popen(line, cwd=tmp_path, env=environment, stderr=subprocess.DEVNULL)
    ledger = first / copy / "ledger.jsonl"
    while not any(event["event"] == "reported" for event in read_events(ledger)):
        assert process.poll() is None
        time.sleep(0.05)
    time.sleep(1)
    kill_with_children(process)
    environment["XDG_CACHE_HOME"] = str(second)
    done = subprocess.run(
        line, cwd=tmp_path, env=environment, capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
    machine("third")
    trials = fr.load_trials(bucket("study/job"))
    assert trials["state"].tolist() == ["completed"] * 3
    assert trials["attempts"].max() == 2
    assert (
        fr.load_curves(f"{store.working_copy(bucket('study/job'))}/trials/0002")["epoch"].max()
        == 30
    )


def test_a_store_that_is_away_stops_a_study_as_a_full_disk_does():
    error = RuntimeError("in the training")
    error.__cause__ = store.StoreAway("s3://runs: no answer")
    assert machine_fault(error) == "s3://runs: no answer"
