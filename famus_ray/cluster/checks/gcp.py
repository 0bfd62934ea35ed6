"""Google Cloud: the machines of a cluster file under Google's own description of an instance."""

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
from famus_ray.cluster.ray_extent import lives_too_long
from famus_ray.cluster.yaml_lines import Address, Marked

__all__ = ["check_gcp", "described"]

_DOCUMENT = "discovery_cache/documents/compute.v1.json"


def described() -> bool:
    """Whether Google's description of its interface is installed here."""
    return importlib.util.find_spec("googleapiclient") is not None


def check_gcp(marked: Marked) -> list[Problem]:
    """Problems of each machine's settings, its network, disk and time of death."""
    problems = list(_zone(marked))
    for name, kind in node_types(marked).items():
        here: Address = ("available_node_types", name, "node_config")
        config = kind.get("node_config")
        if isinstance(config, dict):
            if described():
                problems += schema_problems(marked, here, config, _instance(), "gcp")
            problems += check_machine_type(marked, here, "machineType", "gcp")
            problems += [*_network(marked, here), *_image(marked, here), *_ends(marked, here)]
    return problems


@cache
def _instance() -> dict[str, Any]:
    """The JSON Schema of an instance, from Google's discovery document."""
    found = importlib.util.find_spec("googleapiclient")
    assert found is not None
    assert found.origin is not None
    text = (Path(found.origin).parent / _DOCUMENT).read_text(encoding="utf-8")
    known = json.loads(text)["schemas"]
    schemas = {name: _schema(known[name]) for name in _needed(known, "Instance", set())}
    schemas["Instance"]["properties"]["sourceInstanceTemplate"] = {"type": "string"}  # Ray's own
    return {"$ref": "#/$defs/Instance", "$defs": schemas}


def _needed(known: dict[str, Any], name: str, seen: set[str]) -> set[str]:
    """The names of the schemas that one refers to, with its own."""
    seen.add(name)
    for part in json.dumps(known[name]).split('"$ref": "')[1:]:
        if (other := part.partition('"')[0]) not in seen:
            _needed(known, other, seen)
    return seen


def _schema(found: dict[str, Any]) -> dict[str, Any]:
    """The JSON Schema of one of the discovery document's."""
    if "$ref" in found:
        return {"$ref": f"#/$defs/{found['$ref']}"}
    if found.get("type") == "object":
        others = found.get("additionalProperties")
        return {
            "type": "object",
            "properties": {k: _schema(v) for k, v in found.get("properties", {}).items()},
            "additionalProperties": _schema(others) if others else False,
        }
    if found.get("type") == "array":
        return {"type": "array", "items": _schema(found["items"])}
    if found.get("format") in ("int64", "uint64"):
        return {"type": ["string", "integer"]}  # JSON's numbers are too short
    kept: dict[str, Any] = {key: found[key] for key in ("type", "enum") if key in found}
    return {} if kept.get("type") == "any" else kept


def _zone(marked: Marked) -> Iterator[Problem]:
    region, zone = marked.at("provider.region"), marked.at("provider.availability_zone")
    if not str(zone).startswith(f"{region}-"):
        what = f"availability_zone {zone} is not in region {region}"
        mend = f"write availability_zone: {region}-a"
        yield marked.problem("provider.availability_zone", "region", what, mend)
    if not marked.at("provider.project_id"):
        what = "provider.project_id is missing"
        yield marked.problem("provider.project_id", "project", what, "write your project's id")


def _network(marked: Marked, here: Address) -> Iterator[Problem]:
    interfaces = marked.at((*here, "networkInterfaces"))
    if not isinstance(interfaces, list) or not all(
        isinstance(one, dict) and "subnetwork" in one for one in interfaces
    ):
        what = f"{here[1]}: on the default network, where port 22 is open to every address"
        mend = "write networkInterfaces: [{subnetwork: regions/REGION/subnetworks/famus-ray}]"
        yield marked.problem((*here, "networkInterfaces"), "own-network", what, mend)


def _image(marked: Marked, here: Address) -> Iterator[Problem]:
    disks = marked.mappings((*here, "disks"))
    for index, disk in disks:
        address = (*here, "disks", index)
        image = marked.at((*address, "initializeParams", "sourceImage"))
        if disk.get("boot") and not image:
            what, mend = f"{here[1]}: no image", "write sourceImage under initializeParams"
            yield marked.problem((*address, "initializeParams"), "image", what, mend)
        if disk.get("autoDelete") is not True:
            what = f"{here[1]}: the disk outlives its machine and goes on costing"
            address = (*address, "autoDelete")
            yield marked.problem(address, "disk-left", what, "write autoDelete: true")
    if not disks:
        what = f"{here[1]}: no disk, so no image"
        yield marked.problem(here, "image", what, "write disks with a sourceImage")


def _ends(marked: Marked, here: Address) -> Iterator[Problem]:
    if (late := lives_too_long(marked.mapping(here))) is not None:
        mend = (
            'write scheduling: {maxRunDuration: {seconds: "86400"}, '
            "instanceTerminationAction: DELETE}"
        )
        yield marked.problem((*here, "scheduling"), "kill-time", f"{here[1]}: {late}", mend)
