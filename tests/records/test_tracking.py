"""What TensorBoard, MLflow and Weights & Biases hold of a run, read back from their own records."""

import json
import struct

import pytest
from mlflow.tracking import MlflowClient
from tensorboardX.proto.event_pb2 import Event
from wandb.proto import wandb_internal_pb2

import famus_ray as fr
from famus_ray.config.resolve import resolve
from famus_ray.records.run_folder import RunFolder
from famus_ray.training.loop import epochs

TINY = ("schedule.epochs=3", "run.threads=1", "model.widths=[4,4,8]", "method=ce")


def tensorboard(folder):
    """Value by (metric, epoch), from the event files."""
    found = {}
    for file in sorted((folder / "tensorboard").iterdir()):
        data = file.read_bytes()
        while data:
            (length,) = struct.unpack("<Q", data[:8])
            event, data = Event.FromString(data[12 : 12 + length]), data[16 + length :]
            for value in event.summary.value:
                if value.tag != "settings/text_summary":
                    found[value.tag, event.step] = value.simple_value
    return found


def mlflow(folder):
    """Value by (metric, epoch), and the run, from the database."""
    client = MlflowClient(f"sqlite:///{folder.parent / 'mlflow.db'}")
    (experiment,) = [e for e in client.search_experiments() if e.name == "famus-ray"]
    (run,) = client.search_runs([experiment.experiment_id])
    history = {
        (metric, point.step): point.value
        for metric in run.data.metrics
        for point in client.get_metric_history(run.info.run_id, metric)
    }
    return history, run


def wandb(folder):
    """Value by (metric, epoch), from the files that `wandb sync` uploads."""
    found = {}
    for file in sorted(folder.glob("wandb/offline-run-*/*.wandb")):
        for data in leveldb_records(file.read_bytes()):
            record = wandb_internal_pb2.Record.FromString(data)
            items = {i.key or i.nested_key[0]: i.value_json for i in record.history.item}
            epoch = int(items.get("_step", -1))
            found |= {(k, epoch): json.loads(v) for k, v in items.items() if k[0] != "_"}
    return found


def leveldb_records(data, header=7, block=32768):
    """The records of a log in LevelDB's format, after a header: parts of at most a block each."""
    at, record = header, b""
    while at + 7 <= len(data):
        if block - at % block < 7:  # what is left of a block is too short for a part
            at += block - at % block
            continue
        length, kind = struct.unpack("<HB", data[at + 4 : at + 7])
        record += data[at + 7 : at + 7 + length]
        at += 7 + length
        if kind in (1, 4):  # whole, or the last part
            yield record
            record = b""


@pytest.fixture
def curves():
    def of(folder):
        table = fr.load_curves(folder)
        rows = table[["metric", "epoch", "value"]].itertuples(index=False)
        return {(metric, epoch): pytest.approx(value) for metric, epoch, value in rows}

    return of


def test_every_tracker_holds_the_curves_of_a_run_that_was_cut_and_resumed(
    tmp_path, monkeypatch, curves
):
    monkeypatch.setenv("WANDB_MODE", "offline")
    monkeypatch.delenv("MLFLOW_TRACKING_URI", raising=False)
    config = resolve("digits", (*TINY, "run.track=[tensorboard,mlflow,wandb]")).config
    folder = tmp_path / "mine"
    first = epochs(config, RunFolder(folder))
    next(first)
    first.close()  # as a pruned trial ends
    assert mlflow(folder)[1].info.status == "KILLED"
    list(epochs(config, RunFolder(folder)))
    expected = curves(folder)
    assert {epoch for _, epoch in expected} == {1, 2, 3}
    assert tensorboard(folder) == expected
    history, run = mlflow(folder)
    assert history == expected
    assert run.info.status == "FINISHED"
    assert run.data.params["optimiser.lr"] == str(config.optimiser.lr)
    assert (run.info.run_name, run.data.tags["study"]) == ("mine", "mine")
    assert wandb(folder) == expected


def test_a_tracker_that_comes_later_gets_the_earlier_epochs(tmp_path, curves):
    before = epochs(resolve("digits", TINY).config, RunFolder(tmp_path / "mine"))
    next(before)
    before.close()
    later = resolve("digits", (*TINY, "run.track=[tensorboard]")).config
    list(epochs(later, RunFolder(tmp_path / "mine")))
    assert tensorboard(tmp_path / "mine") == curves(tmp_path / "mine")


def test_a_tracker_that_cannot_be_reached_does_not_end_the_run(tmp_path, monkeypatch):
    monkeypatch.setenv("MLFLOW_TRACKING_URI", "nonsense://nowhere")
    config = resolve("digits", (*TINY, "schedule.epochs=1", "run.track=[mlflow]")).config
    with pytest.warns(UserWarning, match="run.track: mlflow is given up for this run"):
        assert len(list(epochs(config, RunFolder(tmp_path / "mine")))) == 1
