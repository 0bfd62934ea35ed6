"""What of a cluster of Ray's launcher is still there, asked of the cloud or of the machines."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path
from typing import Any

from famus_ray.cluster.provider import Command

__all__ = ["CLOUD_PROGRAMS", "left_of_ray", "over_ssh"]

CLOUD_PROGRAMS = {
    "aws": "docs.aws.amazon.com/cli, or pip install awscli in an environment of its own",
    "gcloud": "cloud.google.com/sdk",
    "az": "learn.microsoft.com/cli/azure",
}

_OF_RAY = "pgrep -l raylet; pgrep -l gcs_server; true"
_NOT_ENDED = "pending,running,stopping,stopped"  # a stopped machine's disk is billed


def left_of_ray(file: Mapping[str, Any]) -> list[Command]:
    """The commands that list what is there of the cluster of a file."""
    provider, name = file["provider"], str(file["cluster_name"])
    if provider["type"] == "aws":
        return _aws(str(provider["region"]), name)
    if provider["type"] == "gcp":
        return _gcp(str(provider["project_id"]), name)
    if provider["type"] == "azure":
        return _azure(str(provider["resource_group"]))
    addresses = [provider["head_ip"], *(provider.get("worker_ips") or ())]
    return [
        Command(over_ssh(file, ip, _OF_RAY), f"Ray on {ip}", left=f"Ray on {ip}")
        for ip in addresses
    ]


def over_ssh(file: Mapping[str, Any], address: str, line: str) -> tuple[str, ...]:
    """The command that runs a line of a shell on a machine of a file of one's own machines."""
    auth = file["auth"]
    key = auth.get("ssh_private_key")
    return (
        "ssh",
        *(("-i", str(Path(key).expanduser())) if key else ()),
        *("-o", "BatchMode=yes", "-o", "ConnectTimeout=10"),
        # As Ray does: machines are set up anew under the same address.
        *("-o", "StrictHostKeyChecking=no", "-o", "UserKnownHostsFile=/dev/null"),
        *("-o", "LogLevel=ERROR"),
        f"{auth['ssh_user']}@{address}",
        line,
    )


def _aws(region: str, name: str) -> list[Command]:
    """Machines and disks that have the cluster's tag."""
    tagged = f"Name=tag:ray-cluster-name,Values={name}"
    ec2 = ("aws", "ec2", "--region", region, "--output", "text")
    of_machines = "Reservations[].Instances[].[InstanceId,InstanceType,State.Name,LaunchTime]"
    machines = (
        *ec2,
        *("describe-instances", "--query", of_machines),
        *("--filters", tagged, f"Name=instance-state-name,Values={_NOT_ENDED}"),
    )
    of_disks = "Volumes[].[VolumeId,Size,State,CreateTime]"
    disks = (*ec2, "describe-volumes", "--query", of_disks, "--filters", tagged)
    return [
        Command(machines, "machines that are not ended", left="machines; `down` ends them"),
        Command(disks, "disks", left="disks; those of a machine go with it"),
    ]


def _gcp(project: str, name: str) -> list[Command]:
    """Machines with the cluster's label, and disks with the names of its machines."""
    machines = (
        *("gcloud", "compute", "instances", "list", f"--project={project}"),
        *(f"--filter=labels.ray-cluster-name={name}", "--format=value(name,zone,status)"),
    )
    disks = (
        *("gcloud", "compute", "disks", "list", f"--project={project}"),
        *(f"--filter=name~^ray-{name}-", "--format=value(name,zone,sizeGb)"),
    )
    return [
        Command(machines, "machines, stopped ones too", left="machines; `down` ends them"),
        Command(disks, "disks", left="disks; those of a machine go with it"),
    ]


def _azure(resource_group: str) -> list[Command]:
    """What costs in the file's resource group; its network is free."""
    costs = "starts_with(type,'Microsoft.Compute/') || ends_with(type,'/publicIPAddresses')"
    listed = (
        *("az", "resource", "list", "--resource-group", resource_group),
        *("--query", f"[?{costs}].[name,type]", "--output", "tsv"),
    )
    end = f"az group delete --name {resource_group} ends all of it"
    return [Command(listed, "machines, disks and addresses", left=f"what is listed; {end}")]
