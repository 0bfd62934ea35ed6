"""Two machines that share nothing but a bucket: a study over both, cut off, goes on elsewhere."""

from __future__ import annotations

import importlib.util
import json
import os
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pandas as pd
import pytest
import yaml
from machines import SOURCE, Machines

from famus_ray.records.ledger import read_events

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.timeout(600),
    pytest.mark.skipif(
        not (importlib.util.find_spec("boto3") and importlib.util.find_spec("moto")),
        reason="needs boto3 and moto[server]",
    ),
]

PORT = 5555
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": "us-east-1", "AWS_EC2_METADATA_DISABLED": "true",
}  # fmt: skip
TRIALS = 4
# The searcher `random` draws a trial by its number alone, whatever ran before it.
TUNE = (
    "tune", "quick", "--trials", str(TRIALS), "--name", "study", "run.threads=1",
    "model.widths=[4,4,8]", "study.scheduler=none", "study.searcher=random", "schedule.epochs=12",
)  # fmt: skip


@pytest.fixture(scope="module")
def bucket(machines: Machines) -> Iterator[str]:
    """The URL of an empty bucket; its server runs on the laptop."""
    host, _ = machines.addresses[0].rsplit(".", 1)
    address = f"{host}.1"
    server = subprocess.Popen(
        machines.laptop(sys.executable, "-m", "moto.server", "-H", address, "-p", str(PORT)),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    make = (
        "import boto3\n"
        f"boto3.client('s3', endpoint_url='http://{address}:{PORT}').create_bucket(Bucket='runs')"
    )
    command = machines.laptop(sys.executable, "-c", make, **KEYS)
    while subprocess.run(command, capture_output=True).returncode:
        assert server.poll() is None
        time.sleep(0.5)
    yield f"s3://runs/all?scheme=http&endpoint_override={address}:{PORT}"
    server.kill()
    server.wait()


@pytest.fixture(scope="module")
def file(machines: Machines, bucket: str) -> Path:
    """The shipped file, with the bucket in place of the folder that all machines see."""
    text = (SOURCE / "cluster" / "onprem" / "cluster.yaml").read_text(encoding="utf-8")
    head, worker = machines.addresses
    for old, new in {"10.0.0.4": head, "10.0.0.5": worker, "ubuntu": "root"}.items():
        text = text.replace(old, new)
    content = yaml.safe_load(text)
    content["cluster_name"] = f"famus-bucket-{os.getpid()}"  # Ray remembers clusters by it in /tmp
    content["metadata"]["runs"] = bucket
    content["auth"]["ssh_private_key"] = str(machines.key)
    content["head_setup_commands"] = content["worker_setup_commands"] = []
    keys = " ".join(f"{name}={value}" for name, value in KEYS.items())
    for address in machines.addresses:  # as a role gives them to rented machines
        machines.on(address, "sh", "-c", f"echo 'export {keys}' >> /root/.bashrc")
    path = machines.home / "bucket.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


def test_a_study_of_two_machines_goes_on_where_there_is_the_bucket_alone(
    machines: Machines, bucket: str, file: Path, tmp_path: Path
):
    sockets = tempfile.mkdtemp(prefix="fr", dir="/tmp")  # their paths must stay short

    settings = {**KEYS, "RAY_TMPDIR": sockets}

    def laptop(*words: str, folder: Path = tmp_path) -> str:
        done = subprocess.run(
            machines.laptop("famus-ray", *words, **settings),
            cwd=folder, capture_output=True, text=True, timeout=300,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    def trials(study: str) -> pd.DataFrame:
        return pd.DataFrame(json.loads(laptop("trials", study, "--json")))

    laptop("cluster", "up", str(file), folder=SOURCE)
    with (tmp_path / "study.log").open("w") as log:
        submitted = subprocess.Popen(
            machines.laptop("famus-ray", "cluster", "submit", str(file), "--", *TUNE, **settings),
            cwd=SOURCE, stdout=log, stderr=log,
        )  # fmt: skip
        while submitted.poll() is None and len(nodes(machines)) < 2:
            time.sleep(0.2)
        assert submitted.poll() is None, (tmp_path / "study.log").read_text()
        for address in machines.addresses:  # the driver's machine, too
            machines.kill(address)
        submitted.kill()
        submitted.wait()

    study = bucket.replace("/all?", "/all/study?")
    assert "interrupted" in set(trials(study)["state"])
    laptop("resume", study, "scale.address=null")
    found = trials(study)
    assert found["state"].tolist() == ["completed"] * TRIALS
    assert found["attempts"].max() == 2  # those that were cut went on

    laptop(*TUNE, f"run.root={tmp_path}")
    expected = trials(str(tmp_path / "study"))
    columns = [c for c in expected if c.startswith("param.")] + ["value", "epochs"]
    pd.testing.assert_frame_equal(found[columns], expected[columns])
    shutil.rmtree(sockets, ignore_errors=True)


def nodes(machines: Machines) -> set[str]:
    """The machines on which an epoch of a trial has ended, by the driver's copy of the ledger."""
    home = machines.folder / f"machine-{machines.addresses[0]}" / "root"
    events = [event for path in home.rglob("study/ledger.jsonl") for event in read_events(path)]
    return {event["node"] for event in events if event["event"] == "reported"}
