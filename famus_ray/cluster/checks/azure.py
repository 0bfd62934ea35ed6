"""Azure: the machines of a cluster file under the parameters of Ray's own Azure template."""

from __future__ import annotations

import importlib.util
import json
from collections.abc import Iterator
from functools import cache
from pathlib import Path
from typing import Any

from famus_ray.cluster.checks.json_schema import schema_problems
from famus_ray.cluster.checks.machine_types import check_machine_type
from famus_ray.cluster.checks.ray_file import node_types
from famus_ray.cluster.problem import Problem
from famus_ray.cluster.yaml_lines import Address, Marked

__all__ = ["check_azure"]

_TEMPLATE = "autoscaler/_private/_azure/azure-vm-template.json"
# Ray fills these in itself.
_BY_RAY = ("vmName", "adminUsername", "publicKey", "vmTags", "vmCount", "msi", "nsg", "subnet")
_KINDS = {"string": "string", "securestring": "string", "int": "integer", "bool": "boolean"}
_VALUES = {"priority": ["Regular", "Low", "Spot"], "evictionPolicy": ["Delete", "Deallocate"]}
_PROVIDER = (
    "type",
    "location",
    "resource_group",
    "subscription_id",
    "subnet_mask",
    "unique_id",
    "availability_zone",
    "use_internal_ips",
    "use_external_head_ip",
    "cache_stopped_nodes",
    "tags",
    "msi_name",
    "msi_resource_group",
)


def check_azure(marked: Marked) -> list[Problem]:
    """Problems of the provider's part, of each machine's parameters, and of public addresses."""
    provider = {
        "type": "object",
        "properties": {name: {} for name in _PROVIDER},
        "required": ["location", "resource_group"],
        "additionalProperties": False,
    }
    part = marked.at("provider")
    problems = schema_problems(marked, ("provider",), part, provider, "azure")
    problems += _addresses(marked)
    for name, kind in node_types(marked).items():
        here: Address = ("available_node_types", name, "node_config")
        parameters = (*here, "azure_arm_parameters")
        config = kind.get("node_config")
        if isinstance(config, dict):
            problems += schema_problems(marked, here, config, _node_config(), "azure")
            problems += check_machine_type(marked, parameters, "vmSize", "azure")
            problems += _image(marked, parameters)
    return problems


@cache
def _node_config() -> dict[str, Any]:
    """The JSON Schema of `node_config`, from the parameters of Ray's template."""
    found = importlib.util.find_spec("ray")
    assert found is not None  # famus_ray requires it
    assert found.origin is not None
    text = (Path(found.origin).parent / _TEMPLATE).read_text(encoding="utf-8")
    parameters: dict[str, Any] = {"availability_zone": {"type": "string"}}
    for name, parameter in json.loads(text)["parameters"].items():
        if name not in _BY_RAY:
            kind = parameter["type"].lower()
            parameters[name] = {"type": _KINDS.get(kind, kind)}
            if name in _VALUES:
                parameters[name]["enum"] = _VALUES[name]
    arm = {"type": "object", "properties": parameters, "additionalProperties": False}
    return {
        "type": "object",
        "properties": {"azure_arm_parameters": arm, "azure_arm_template": {"type": "object"}},
        "required": ["azure_arm_parameters"],
        "additionalProperties": False,
    }


def _addresses(marked: Marked) -> Iterator[Problem]:
    if marked.at("provider.use_internal_ips") is not True:
        what = "every machine gets a public address, and Ray's template opens its port 22 to all"
        mend = "write use_internal_ips: true, and use_external_head_ip: true for the head alone"
        yield marked.problem("provider.use_internal_ips", "ssh-range", what, mend)


def _image(marked: Marked, here: Address) -> Iterator[Problem]:
    parts = ("imagePublisher", "imageOffer", "imageSku", "imageVersion")
    missing = [part for part in parts if not marked.at((*here, part))]
    if missing and not marked.at((*here, "imageId")):
        what = f"{here[1]}: no image; {', '.join(missing)} missing"
        mend = "write imagePublisher, imageOffer, imageSku and imageVersion, or imageId"
        yield marked.problem(here, "image", what, mend)
