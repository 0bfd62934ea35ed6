"""AWS: the machines of a cluster file under AWS's own description of `RunInstances`, and safety."""

from __future__ import annotations

import importlib.util
from collections.abc import Iterator
from functools import cache
from typing import Any

from famus_ray.cluster.checks.json_schema import schema_problems
from famus_ray.cluster.checks.ports import opened, too_wide
from famus_ray.cluster.checks.ray_file import node_types
from famus_ray.cluster.problem import Problem
from famus_ray.cluster.ray_extent import lives_too_long
from famus_ray.cluster.yaml_lines import Address, Marked

__all__ = ["check_aws", "described"]

_RAYS_OWN = {"SubnetIds": {"type": "array", "items": {"type": "string"}}}  # Ray takes one of them


def described() -> bool:
    """Whether AWS's description of its interface is installed here."""
    return importlib.util.find_spec("botocore") is not None


def check_aws(marked: Marked) -> list[Problem]:
    """Problems of each machine's settings, of the security group and of the head's role."""
    problems = [*_region(marked), *_security_group(marked)]
    for name, kind in node_types(marked).items():
        here: Address = ("available_node_types", name, "node_config")
        config = kind.get("node_config")
        if isinstance(config, dict):
            if described():
                problems += schema_problems(marked, here, config, _instances(), "aws")
            problems += _machine(marked, here, config)
            if name == marked.at("head_node_type"):
                problems += _role(marked, here, config)
    return problems


@cache
def _instances() -> dict[str, Any]:
    """The JSON Schema of `RunInstances`, from botocore's description of EC2."""
    import botocore.session

    service = botocore.session.get_session().get_service_model("ec2")
    schema = _schema(service.operation_model("RunInstances").input_shape)
    schema["properties"] |= _RAYS_OWN
    schema["required"] = ["InstanceType"]  # Ray gives the numbers
    return schema


def _schema(shape: Any) -> dict[str, Any]:
    """The JSON Schema of one of botocore's shapes."""
    if shape.type_name == "structure":
        members = {name: _schema(member) for name, member in shape.members.items()}
        found = {"type": "object", "properties": members, "additionalProperties": False}
        return found | {"required": list(shape.required_members)}
    if shape.type_name == "list":
        return {"type": "array", "items": _schema(shape.member)}
    if shape.type_name == "map":
        return {"type": "object"}
    kinds = {"integer": "integer", "long": "integer", "boolean": "boolean"}
    kinds |= {"float": "number", "double": "number"}
    found = {"type": kinds.get(shape.type_name, "string")}
    return found | ({"enum": list(shape.enum)} if getattr(shape, "enum", None) else {})


def _machine(marked: Marked, here: Address, config: dict[str, Any]) -> Iterator[Problem]:
    template, name = "LaunchTemplate" in config, here[1]
    if _in(config, "MetadataOptions", "HttpTokens") != "required":
        what = f"{name}: any request that leaves the machine may read its role's keys (IMDSv1)"
        mend = "write MetadataOptions: {HttpTokens: required, HttpPutResponseHopLimit: 1}"
        yield marked.problem((*here, "MetadataOptions", "HttpTokens"), "imdsv2", what, mend)
    yield from _disks(marked, here, config)
    image = config.get("ImageId")
    if image in (None, "", "latest_dlami") and not (template and image is None):
        what = f"{name}: no image; Ray's default is an Ubuntu 18.04 of another year"
        mend = "write ImageId: ami-..., or a LaunchTemplate that has one"
        yield marked.problem((*here, "ImageId"), "image", what, mend)
    if (late := lives_too_long(config)) is not None:
        mend = (
            "write InstanceInitiatedShutdownBehavior: terminate, and in UserData "
            "`shutdown -h +1440`, in minutes"
        )
        address = (*here, "InstanceInitiatedShutdownBehavior")
        yield marked.problem(address, "kill-time", f"{name}: {late}", mend)


def _disks(marked: Marked, here: Address, config: dict[str, Any]) -> Iterator[Problem]:
    disks = marked.items((*here, "BlockDeviceMappings"))
    if not disks:
        what = f"{here[1]}: the disk is the image's, of unknown size and not encrypted"
        mend = "write BlockDeviceMappings with Encrypted: true"
        yield marked.problem((*here, "BlockDeviceMappings"), "encrypted-disk", what, mend)
    for index, disk in enumerate(disks):
        address = (*here, "BlockDeviceMappings", index, "Ebs")
        if _in(disk, "Ebs", "Encrypted") is not True:
            what = f"{here[1]}: the disk is not encrypted"
            yield marked.problem(
                (*address, "Encrypted"), "encrypted-disk", what, "write Encrypted: true"
            )
        if _in(disk, "Ebs", "DeleteOnTermination") is False:
            what = f"{here[1]}: the disk outlives its machine and goes on costing"
            mend = "write DeleteOnTermination: true"
            yield marked.problem((*address, "DeleteOnTermination"), "disk-left", what, mend)


def _security_group(marked: Marked) -> Iterator[Problem]:
    own = ("provider", "security_group")
    for index, rule in marked.mappings((*own, "IpPermissions")):
        yield from _opened(marked, (*own, "IpPermissions", index), rule)
    for name, kind in node_types(marked).items():
        config = kind.get("node_config")
        if isinstance(config, dict) and not (
            {"SecurityGroupIds", "NetworkInterfaces", "LaunchTemplate"} & config.keys()
        ):
            what = f"{name}: no security group; Ray's own opens port 22 to every address"
            mend = "write SecurityGroupIds, or a LaunchTemplate that has them"
            here = ("available_node_types", name, "node_config", "SecurityGroupIds")
            yield marked.problem(here, "security-group", what, mend)


def _opened(marked: Marked, here: Address, rule: dict[str, Any]) -> Iterator[Problem]:
    """What one rule of a security group opens too widely."""
    kinds = (("IpRanges", "CidrIp"), ("Ipv6Ranges", "CidrIpv6"))
    ranges = [
        ((*here, many, index, one), entry.get(one))
        for many, one in kinds
        for index, entry in marked.mappings((*here, many))
    ]
    for address, addresses in ranges:
        for port in opened(rule.get("FromPort"), rule.get("ToPort")):
            what = f"port {port} is open to {addresses}: who reaches it runs commands"
            mend = "remove it; `ray dashboard FILE` brings the dashboard through ssh"
            yield marked.problem(address, "open-port", what, mend)
        if too_wide(addresses):
            what = f"ports {rule.get('FromPort')} to {rule.get('ToPort')} are open to {addresses}"
            yield marked.problem(
                address, "ssh-range", what, "write your own range, such as 203.0.113.7/32"
            )


def _role(marked: Marked, here: Address, config: dict[str, Any]) -> Iterator[Problem]:
    if "IamInstanceProfile" not in config:
        what = f"{here[1]}: no role; Ray's own may do everything with EC2 and every bucket"
        mend = "write IamInstanceProfile: {Name: famus-ray-head}, from cluster/aws/network.cfn.yaml"
        yield marked.problem((*here, "IamInstanceProfile"), "role", what, mend)


def _region(marked: Marked) -> Iterator[Problem]:
    region, zones = marked.at("provider.region"), marked.at("provider.availability_zone")
    if not isinstance(region, str):
        mend = "write region: us-west-2"
        yield marked.problem("provider.region", "region", "provider.region is missing", mend)
    elif isinstance(zones, str):
        for zone in zones.replace(" ", "").split(","):
            if not zone.startswith(region):
                what = f"availability_zone {zone} is not in {region}"
                address = "provider.availability_zone"
                yield marked.problem(address, "region", what, f"write {region}a")


def _in(content: Any, *keys: str) -> Any:
    for key in keys:
        content = content.get(key) if isinstance(content, dict) else None
    return content
