"""The AWS files against a server that plays AWS: the stack, then machines by Ray's own provider."""

from __future__ import annotations

import copy
import importlib.util
import os
import shutil
from base64 import b64decode
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

import pytest
import yaml

from famus_ray.cluster.ray_launcher import RayLauncher
from famus_ray.cluster.running import run_all

FILES = Path(__file__).parents[2] / "cluster" / "aws"
RANGE = "203.0.113.7/32"
REGION = "us-west-2"

pytestmark = [
    pytest.mark.cluster,
    pytest.mark.skipif(
        not (importlib.util.find_spec("boto3") and importlib.util.find_spec("moto")),
        reason="needs boto3 and moto[server]",
    ),
]


@pytest.fixture(scope="module")
def aws(tmp_path_factory: pytest.TempPathFactory) -> Iterator[None]:
    """An AWS of one's own on loopback, with the stack of the network."""
    from moto.server import ThreadedMotoServer

    home = tmp_path_factory.mktemp("home")
    server = ThreadedMotoServer(ip_address="127.0.0.1", port=0, verbose=False)
    server.start()
    host, port = server.get_host_and_port()
    with pytest.MonkeyPatch.context() as patch:
        for name in [name for name in os.environ if name.startswith("AWS_")]:
            patch.delenv(name)
        patch.setenv("AWS_ACCESS_KEY_ID", "testing")
        patch.setenv("AWS_SECRET_ACCESS_KEY", "testing")
        patch.setenv("AWS_DEFAULT_REGION", REGION)
        patch.setenv("AWS_ENDPOINT_URL", f"http://{host}:{port}")
        patch.setenv("HOME", str(home))  # Ray writes a key there
        try:
            deploy()
            yield
        finally:
            server.stop()


def client(name: str) -> Any:
    import boto3

    return boto3.client(name, region_name=REGION)


def deploy() -> None:
    text = (FILES / "network.cfn.yaml").read_text(encoding="utf-8")
    image = yaml.safe_load(text)["Parameters"]["Image"]["Default"]
    an_image = client("ec2").describe_images()["Images"][0]["ImageId"]
    client("ssm").put_parameter(Name="image", Value=an_image, Type="String")
    client("cloudformation").create_stack(
        StackName="famus-ray",
        TemplateBody=text.replace(image, "image"),  # the server has not that one
        Capabilities=["CAPABILITY_NAMED_IAM"],
        Parameters=[{"ParameterKey": "SshRange", "ParameterValue": RANGE}],
    )


def prepared(name: str) -> tuple[Any, dict[str, Any]]:
    """Ray's provider for a file and the file's content, as `ray up` prepares them."""
    from ray.autoscaler._private.providers import _get_node_provider_cls
    from ray.autoscaler._private.util import prepare_config, validate_config

    content = prepare_config(yaml.safe_load((FILES / name).read_text(encoding="utf-8")))
    provider = _get_node_provider_cls(content["provider"])
    content = provider.fillout_available_node_types_resources(content)
    validate_config(content)
    content = provider.bootstrap_config(content)
    return provider(content["provider"], content["cluster_name"]), content


def start(cluster: Any, content: dict[str, Any], kind: str) -> str:
    """Starts a machine of a type; returns its id."""
    is_head = kind == content["head_node_type"]
    config = copy.deepcopy(content["available_node_types"][kind]["node_config"])
    config |= content["head_node"] if is_head else {}
    (number,) = cluster.create_node(config, labels(kind, is_head), 1)
    return str(number)


@cache
def launched(name: str) -> dict[str, dict[str, Any]]:
    """The machines of a file by the names of their types, one each, started as `ray up` does."""
    cluster, content = prepared(name)
    machines = {}
    for kind, found in content["available_node_types"].items():
        number = start(cluster, content, kind)
        machines[kind] = described(number) | {"resources": found["resources"]}
    for number in cluster.non_terminated_nodes({}):
        cluster.terminate_node(number)
    assert cluster.non_terminated_nodes({}) == []
    return machines


def labels(kind: str, is_head: bool) -> dict[str, str]:
    from ray.autoscaler import tags

    return {
        tags.TAG_RAY_NODE_KIND: "head" if is_head else "worker",
        tags.TAG_RAY_USER_NODE_TYPE: kind,
        tags.TAG_RAY_NODE_NAME: f"ray-{kind}",
        tags.TAG_RAY_LAUNCH_CONFIG: "hash",
        tags.TAG_RAY_NODE_STATUS: "uninitialized",
    }


def described(number: str) -> dict[str, Any]:
    """What AWS says of a machine, with its only disk and what it runs first."""
    ec2 = client("ec2")
    machine = ec2.describe_instances(InstanceIds=[number])["Reservations"][0]["Instances"][0]
    (mapping,) = machine["BlockDeviceMappings"]
    (disk,) = ec2.describe_volumes(VolumeIds=[mapping["Ebs"]["VolumeId"]])["Volumes"]
    first = ec2.describe_instance_attribute(InstanceId=number, Attribute="userData")
    return machine | {"disk": disk, "first": b64decode(first["UserData"]["Value"]).decode()}


@pytest.mark.usefixtures("aws")
def test_the_stack_is_complete_and_opens_port_22_to_the_given_range_alone():
    (stack,) = client("cloudformation").describe_stacks()["Stacks"]
    assert stack["StackStatus"] == "CREATE_COMPLETE"
    groups = client("ec2").describe_security_groups(
        Filters=[{"Name": "group-name", "Values": ["famus-ray"]}]
    )["SecurityGroups"]
    (group,) = groups
    outside = [rule for rule in group["IpPermissions"] if rule["IpRanges"]]
    assert [
        (rule["FromPort"], rule["ToPort"], [r["CidrIp"] for r in rule["IpRanges"]])
        for rule in outside
    ] == [(22, 22, [RANGE])]
    inside = [rule for rule in group["IpPermissions"] if rule["UserIdGroupPairs"]]
    assert [pair["GroupId"] for rule in inside for pair in rule["UserIdGroupPairs"]] == [
        group["GroupId"]
    ]
    bucket = next(o for o in stack["Outputs"] if o["OutputKey"] == "Bucket")["OutputValue"]
    rules = client("s3").get_bucket_encryption(Bucket=bucket.split("/")[2])
    assert rules["ServerSideEncryptionConfiguration"]["Rules"]


@pytest.mark.parametrize(
    ("name", "types", "resources"),
    [
        ("gpu-spot.yaml", {"head": "m7i.xlarge", "gpu": "g6.2xlarge"}, {"GPU": 1, "CPU": 8}),
        ("gpu-ondemand.yaml", {"head": "m7i.xlarge", "gpu": "g6.12xlarge"}, {"GPU": 4, "CPU": 48}),
        ("single-node.yaml", {"head": "g6.2xlarge"}, {"GPU": 1, "CPU": 8}),
    ],
)
@pytest.mark.usefixtures("aws")
def test_the_machines_are_as_the_file_says(
    name: str, types: dict[str, str], resources: dict[str, int]
):
    machines = launched(name)
    assert {kind: machine["InstanceType"] for kind, machine in machines.items()} == types
    last = machines[[*types][-1]]["resources"]  # Ray found them out from the type
    assert {key: last[key] for key in resources} == resources
    cluster = yaml.safe_load((FILES / name).read_text(encoding="utf-8"))["cluster_name"]
    for kind, machine in machines.items():
        spot = machine.get("InstanceLifecycle") == "spot"
        assert spot == (name == "gpu-spot.yaml" and kind == "gpu")
        assert machine["MetadataOptions"]["HttpTokens"] == "required"
        assert machine["MetadataOptions"]["HttpPutResponseHopLimit"] == 1
        assert machine["disk"]["Encrypted"]
        assert machine["disk"]["VolumeType"] == "gp3"
        assert machine["BlockDeviceMappings"][0]["Ebs"]["DeleteOnTermination"]
        assert "shutdown -h +" in machine["first"]
        assert [group["GroupName"] for group in machine["SecurityGroups"]] == ["famus-ray"]
        role = "famus-ray-head" if kind == "head" else "famus-ray-worker"
        assert machine["IamInstanceProfile"]["Arn"].endswith(f"instance-profile/{role}")
        tags = {tag["Key"]: tag["Value"] for tag in machine["Tags"]}
        assert tags["ray-cluster-name"] == cluster
        assert tags["ray-user-node-type"] == kind
        assert {"Key": "ray-cluster-name", "Value": cluster} in machine["disk"]["Tags"]


@pytest.mark.usefixtures("aws")
def test_ray_made_no_role_or_security_group_of_its_own():
    launched("single-node.yaml")
    roles = {role["RoleName"] for role in client("iam").list_roles()["Roles"]}
    assert {name for name in roles if "ray" in name} == {"famus-ray-head", "famus-ray-worker"}
    groups = client("ec2").describe_security_groups()["SecurityGroups"]
    assert {group["GroupName"] for group in groups} == {"default", "famus-ray"}


@pytest.mark.usefixtures("aws")
def test_what_is_left_of_a_cluster_is_listed_until_it_is_ended(capfd):
    if shutil.which("aws") is None:
        pytest.skip("needs awscli: it lists what is left")
    left = RayLauncher().left(FILES / "gpu-spot.yaml")
    assert run_all(left) == 0
    capfd.readouterr()
    cluster, content = prepared("gpu-spot.yaml")
    number = start(cluster, content, "gpu")
    assert run_all(left) == 1
    printed, told = capfd.readouterr()
    assert f"{number}\tg6.2xlarge\trunning\t" in printed
    assert "\t150\tin-use\t" in printed
    assert "still there: machines; `down` ends them" in told
    cluster.terminate_node(number)
    assert run_all(left) == 0
