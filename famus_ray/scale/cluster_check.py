"""The checks of every node of a running cluster, before a GPU-hour is spent on it."""

from __future__ import annotations

import ipaddress
import secrets
import time
from collections.abc import Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import ray
from ray.util.scheduling_strategies import NodeAffinitySchedulingStrategy

from famus_ray.config.schema import ScaleConfig
from famus_ray.findings import Finding
from famus_ray.installed import differing, found_here
from famus_ray.scale.cluster import cluster
from famus_ray.scale.join import asks_for_token
from famus_ray.scale.node_probe import Facts, NodeProbe
from famus_ray.scale.pair_check import PairCheck, reason
from famus_ray.store import is_url, shown, working_copy

__all__ = ["Node", "check_cluster", "findings_of"]

_ANSWER_WITHIN = 60.0  # seconds until a node's process has started, which imports PyTorch
_STORE_WITHIN = 150.0  # seconds for a folder of a store, which is itself waited for
_CLOCKS = 1.0  # seconds that clocks may differ by

_SHARE = "mount the same folder on all machines, or give run.root a bucket's URL"


@dataclass(frozen=True, eq=False)
class Node:
    """A node of the cluster, as Ray tells of it.

    Attributes:
        id: Ray's number of it.
        label: its name and address, for messages.
        host: the name of its machine.
        held: the resources that Ray gives out there, by Ray's names.
    """

    id: str
    label: str
    host: str
    held: Mapping[str, float]


def check_cluster(
    address: str, root: str, within: float = _ANSWER_WITHIN
) -> dict[str, list[Finding]]:
    """Findings on the whole cluster, under an empty name, and on each node, under its label.

    Args:
        address: of the cluster, `scale.address`.
        root: folder or URL of the runs, `run.root`.
        within: seconds that a node has for each answer.

    Raises:
        UserError: the cluster cannot be joined.
    """
    with cluster(ScaleConfig(address=address)):
        return _Check(within, root).findings()


def findings_of(
    node: Node, facts: Facts, driver: Mapping[str, str], skew: float, hosts: int
) -> list[Finding]:
    """Findings on what a node has.

    Args:
        node: the node.
        facts: what it has.
        driver: the versions in the driver's process.
        skew: seconds by which its clock is ahead of the driver's.
        hosts: the number of machines of the cluster.
    """
    lines = differing(facts.versions, driver, "the driver's machine")
    what = ", ".join(f"{name} {version}" for name, version in facts.versions.items())
    found = [Finding("unfit", line, "install the same on all machines") for line in lines]
    found += [] if lines else [Finding("ok", what)]
    found.append(_reached_at(facts, hosts))
    found += _processors(node, facts)
    what = f"clock: {abs(skew):.2f} s {'ahead of' if skew > 0 else 'behind'} the driver's"
    clocks = "run a time service, such as chrony: stores and tokens refuse wrong times"
    wrong = abs(skew) > _CLOCKS
    return [*found, Finding("note", what, clocks) if wrong else Finding("ok", what)]


def _reached_at(facts: Facts, hosts: int) -> Finding:
    over = f" over {facts.interface}" if facts.interface else ""
    what = f"address: {facts.address}{over}"
    if hosts > 1 and ipaddress.ip_address(facts.address).is_loopback:
        return Finding(
            "unfit",
            f"{what}, which no other machine reaches",
            "start Ray there with --node-ip-address=ADDRESS, the one that the others reach",
        )
    return Finding("ok", what)


def _processors(node: Node, facts: Facts) -> list[Finding]:
    """Whether Ray gives out what there is."""
    gpus, cpus = node.held.get("GPU", 0.0), node.held.get("CPU", 0.0)
    what = f"GPUs: Ray gives out {gpus:g}, PyTorch sees {facts.gpus}"
    if gpus > facts.gpus:
        mend = "install the driver and a PyTorch for CUDA, or start Ray there with --num-gpus=0"
        found = [Finding("unfit", what, mend)]
    elif gpus < facts.gpus:
        mend = f"start Ray there with --num-gpus={facts.gpus}, or no trial gets them"
        found = [Finding("note", what, mend)]
    else:
        found = [Finding("ok", what)]
    what = f"CPUs: Ray gives out {cpus:g}, there are {facts.cpus}"
    if cpus > facts.cpus:
        mend = f"start Ray there with --num-cpus={facts.cpus}: trials would wait for each other"
        return [*found, Finding("note", what, mend)]
    return [*found, Finding("ok", what)]


class _Check:
    """One check of the cluster that this process has joined.

    Args:
        within: seconds that a node has for each answer.
        root: folder or URL of the runs.
    """

    def __init__(self, within: float, root: str) -> None:
        self._within, self._root = within, root
        self._nodes = _alive()
        self._found: dict[Node, list[Finding]] = {node: [] for node in self._nodes}
        self._probes: dict[Node, Any] = {}

    def findings(self) -> dict[str, list[Finding]]:
        """Findings by the label of their node, and on the whole cluster under an empty name."""
        try:
            facts = self._facts()
            if facts:
                self._check_root([*facts])
                pairs = PairCheck(facts, lambda node: node.label, self._probe, self._within)
                for node, finding in pairs.findings().items():
                    self._found[node].append(finding)
        finally:
            for probe in self._probes.values():
                ray.kill(probe)
        of_nodes = {node.label: self._found[node] for node in self._nodes}
        return {"": [_size(self._nodes), _token()], **of_nodes}

    def _probe(self, node: Node, anew: bool = False) -> Any:
        """The actor on a node, which takes nothing from those that train there."""
        if anew:
            ray.kill(self._probes.pop(node))
        if node not in self._probes:
            where = NodeAffinitySchedulingStrategy(node.id, soft=False)
            actor = ray.remote(NodeProbe).options(num_cpus=0, scheduling_strategy=where)
            self._probes[node] = actor.remote()
        return self._probes[node]

    def _facts(self) -> dict[Node, Facts]:
        """What each node has that answers; the findings on it are noted."""
        driver, hosts = found_here(), len({node.host for node in self._nodes})
        asked = {node: self._probe(node).facts.remote() for node in self._nodes}
        found: dict[Node, Facts] = self._answers(asked, "look at itself", self._within)
        for node, facts in found.items():
            begun = time.time()
            told = self._answers({node: self._probes[node].clock.remote()}, "tell the time", 10)
            if node in told:
                skew = told[node] - (begun + time.time()) / 2
                self._found[node] += findings_of(node, facts, driver, skew, hosts)
        return found

    def _check_root(self, nodes: Sequence[Node]) -> None:
        """Notes whether each node sees in the folder of the runs what the first one wrote."""
        first, *others = nodes
        root = working_copy(self._root) if is_url(self._root) else Path(self._root).expanduser()
        folder = root.absolute() / f"check-{secrets.token_hex(6)}"
        within = _STORE_WITHIN if is_url(self._root) else self._within
        doing = f"write into run.root = {shown(root)}"
        write = {first: self._probes[first].write.remote(folder)}
        if not (written := self._answers(write, doing, within)):
            return
        self._found[first] += [Finding("ok", f"run.root = {shown(root)}: written"), written[first]]
        shares = {node: self._probes[node].share.remote(folder, node.id) for node in others}
        for node, space in self._answers(shares, doing, within).items():
            what = f"run.root = {shown(root)}: what {first.label} wrote there is "
            if space is None:
                self._found[node].append(Finding("unfit", f"{what}not seen here", _SHARE))
            else:
                self._found[node] += [Finding("ok", f"{what}read, and written"), space]
        clear = {n: self._probes[n].clear.remote(folder, n is first) for n in (*others, first)}
        self._answers(clear, f"clear run.root = {shown(root)}", within)

    def _answers(self, asked: Mapping[Node, Any], what: str, within: float) -> dict[Node, Any]:
        """The answers that came in time; for each that did not, a finding is noted."""
        ray.wait([*asked.values()], num_returns=len(asked) or 1, timeout=within)
        answers = {}
        for node, ref in asked.items():
            try:
                answers[node] = ray.get(ref, timeout=0)
            except ray.exceptions.GetTimeoutError:
                told = f"no answer within {within:g} s: was asked to {what}"
                mend = "look at the machine, or start Ray there again"
                self._found[node].append(Finding("unfit", told, mend))
            except ray.exceptions.RayError as error:
                told = f"could not {what}: {reason(error)}"
                mend = "install the same famus_ray there, and look at the machine"
                self._found[node].append(Finding("unfit", told, mend))
        return answers


def _alive() -> list[Node]:
    """The nodes that are up, that of the driver first; the labels differ."""
    found = [node for node in ray.nodes() if node["Alive"]]
    here = ray.get_runtime_context().get_node_id()
    found.sort(key=lambda node: (node["NodeID"] != here, node["NodeName"], node["NodeID"]))
    labels = [_label(node) for node in found]
    return [
        Node(
            id=node["NodeID"],
            label=f"{label} {node['NodeID'][:6]}" if labels.count(label) > 1 else label,
            host=node["NodeManagerHostname"],
            held=node["Resources"],
        )
        for label, node in zip(labels, found, strict=True)
    ]


def _label(node: Mapping[str, Any]) -> str:
    address = node["NodeManagerAddress"]
    named = node["NodeName"] if node["NodeName"] != address else node["NodeManagerHostname"]
    return f"{named} ({address})"


def _size(nodes: Sequence[Node]) -> Finding:
    held = {name: sum(node.held.get(name, 0.0) for node in nodes) for name in ("CPU", "GPU")}
    many = "1 node" if len(nodes) == 1 else f"{len(nodes)} nodes"
    return Finding("ok", f"{many} with {held['CPU']:g} CPUs, {held['GPU']:g} GPUs")


def _token() -> Finding:
    if asks_for_token(ray.get_runtime_context().gcs_address):
        return Finding("ok", "token: who has none is refused")
    what = "token: none is asked for; who reaches Ray's ports runs commands"
    return Finding("note", what, "start the head and the workers with RAY_AUTH_MODE=token")
