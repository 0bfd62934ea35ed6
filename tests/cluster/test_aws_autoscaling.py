"""cluster/aws/gpu-spot.yaml from no worker to two and back, on a server that plays AWS.

Its machines are namespaces at the addresses that the server gives out, in order.
"""

from __future__ import annotations

import json
import shutil
import subprocess
import sys
import tempfile
import time
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
import test_aws_launch
import yaml
from machines import NEEDED, SOURCE, Machines, why_not

pytestmark = [*test_aws_launch.pytestmark, pytest.mark.timeout(600)]

PORT = 5555
HOST = "10.77.0.1"
KEYS = {
    "AWS_ACCESS_KEY_ID": "testing", "AWS_SECRET_ACCESS_KEY": "testing",
    "AWS_DEFAULT_REGION": test_aws_launch.REGION, "AWS_ENDPOINT_URL": f"http://{HOST}:{PORT}",
    "AWS_EC2_METADATA_DISABLED": "true",
}  # fmt: skip
# A worker has eight cores for Ray, so each trial has one of its own.
STUDY = (
    "tune", "quick", "--trials", "2", "--name", "study", "study.concurrent=2",
    "scale.cpus_per_worker=5", "run.threads=1", "model.widths=[4,4,8]", "study.scheduler=none",
)  # fmt: skip

Run = Callable[..., str]


@pytest.fixture(scope="module")
def machines(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Machines]:
    """A laptop, and three machines that nobody has rented yet."""
    if reason := why_not(NEEDED):
        pytest.skip(reason)
    with Machines(tmp_path_factory.mktemp("machines"), count=3).up() as up:
        exports = " ".join(f"{name}={value}" for name, value in KEYS.items())
        for address in up.addresses:  # what roles, and the setup commands, would give them
            line = f"export PATH=~/famus/env/bin:$PATH RAY_AUTH_MODE=token {exports}"
            up.on(address, "sh", "-c", f"echo '{line}' >> /root/.bashrc")
        yield up


@pytest.fixture(scope="module")
def run(machines: Machines) -> Iterator[Run]:
    """Runs a command on the laptop, beside a running server, and returns what it prints."""
    server = subprocess.Popen(
        machines.laptop(sys.executable, "-c", SERVE, HOST, str(PORT)),
        stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL,
    )  # fmt: skip
    knock = f"import socket; socket.create_connection(({HOST!r}, {PORT}), 1)"
    while subprocess.run(
        machines.laptop(sys.executable, "-c", knock), stderr=subprocess.DEVNULL
    ).returncode:
        assert server.poll() is None
    sockets = tempfile.mkdtemp(prefix="fr", dir="/tmp")  # their paths must stay short

    def on_laptop(*command: str) -> str:
        done = subprocess.run(
            machines.laptop(*command, **KEYS, RAY_TMPDIR=sockets),
            cwd=SOURCE, capture_output=True, text=True, timeout=400,
        )  # fmt: skip
        assert done.returncode == 0, done.stdout + done.stderr
        return done.stdout

    yield on_laptop
    server.kill()
    server.wait()
    shutil.rmtree(sockets, ignore_errors=True)


@pytest.fixture(scope="module")
def file(machines: Machines, run: Run) -> Path:
    """The shipped file on the deployed stack, edited to what the machines here have."""
    key = machines.key.with_suffix(".pub").read_text(encoding="utf-8")
    bucket, subnet = run(sys.executable, "-c", DEPLOY, str(Path(__file__).parent), key).split()
    shipped = SOURCE / "cluster" / "aws" / "gpu-spot.yaml"
    content = yaml.safe_load(shipped.read_text(encoding="utf-8"))
    content["metadata"]["runs"] = f"s3://{bucket}/runs?scheme=http&endpoint_override={HOST}:{PORT}"
    content["idle_timeout_minutes"] = 0.25
    content["provider"]["use_internal_ips"] = True  # the laptop is in the network
    content["auth"] = {"ssh_user": "root", "ssh_private_key": str(machines.key)}
    for found in content["available_node_types"].values():
        found["node_config"] |= {"KeyName": "mine", "SubnetIds": [subnet]}
    content["setup_commands"] = []  # famus_ray is there
    content["file_mounts"] = {"~/.ray/auth_token": "~/.ray/auth_token"}
    path = machines.home / "spot.yaml"
    path.write_text(yaml.safe_dump(content), encoding="utf-8")
    return path


# AWS rents out as many machines as it has, up to the number asked for; this server the least.
SERVE = """
import sys
from moto.ec2.responses.instances import InstanceResponse
from moto.server import main

asked = InstanceResponse._get_param
InstanceResponse._get_param = lambda self, name, *more, **options: asked(
    self, "MaxCount" if name == "MinCount" else name, *more, **options)
main(["-H", sys.argv[1], "-p", sys.argv[2]])
"""

DEPLOY = """
import sys
sys.path.insert(0, sys.argv[1])
import test_aws_launch as launch

launch.deploy()
launch.client("ec2").import_key_pair(KeyName="mine", PublicKeyMaterial=sys.argv[2].encode())
(stack,) = launch.client("cloudformation").describe_stacks()["Stacks"]
print(next(o["OutputValue"] for o in stack["Outputs"] if o["OutputKey"] == "Bucket").split("/")[2])
(subnet,) = launch.client("ec2").describe_subnets(
    Filters=[{"Name": "cidr-block", "Values": ["10.77.0.0/20"]}])["Subnets"]
print(subnet["SubnetId"])
"""

LIST = """
import json, os, boto3
found = boto3.client("ec2").describe_instances()["Reservations"]
print(json.dumps([
    {"type": one["InstanceType"], "state": one["State"]["Name"], "address": one["PrivateIpAddress"],
     "spot": one.get("InstanceLifecycle") == "spot"}
    for group in found for one in group["Instances"]]))
"""


def test_two_spot_machines_are_rented_for_a_study_and_given_back(
    machines: Machines, run: Run, file: Path
):
    def rented() -> list[dict[str, Any]]:
        found: list[dict[str, Any]] = json.loads(run(sys.executable, "-c", LIST))
        return found

    run("famus-ray", "cluster", "up", str(file))
    assert [(one["spot"], one["address"]) for one in rented()] == [(False, machines.addresses[0])]
    run("famus-ray", "cluster", "submit", str(file), "--", *STUDY)
    spot = [one for one in rented() if one["spot"]]
    assert [one["type"] for one in spot] == ["g6.2xlarge", "g6.2xlarge"]
    runs = yaml.safe_load(file.read_text(encoding="utf-8"))["metadata"]["runs"]
    trials = json.loads(run("famus-ray", "trials", runs.replace("?", "/study?"), "--json"))
    assert [trial["state"] for trial in trials] == ["completed", "completed"]
    names = {trial["node"].partition("/")[0] for trial in trials}
    assert names == {machines.name(one["address"]) for one in spot}  # a trial on each

    end = time.monotonic() + 120
    while {one["state"] for one in rented() if one["spot"]} != {"terminated"}:
        assert time.monotonic() < end, rented()
        time.sleep(2)
    assert [one["state"] for one in rented() if not one["spot"]] == ["running"]
    run("famus-ray", "cluster", "down", str(file))
    assert {one["state"] for one in rented()} == {"terminated"}
