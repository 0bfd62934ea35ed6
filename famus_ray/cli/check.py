"""The command `check`, which checks the machine, or every node of a cluster."""

from __future__ import annotations

import json
import sys
from collections.abc import Iterator
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from famus_ray.cli.options import AsJson
from famus_ray.store import is_url, working_copy

if TYPE_CHECKING:
    from famus_ray.findings import Finding

__all__ = ["check"]


def check(
    root: Annotated[str, typer.Option(help="Folder or URL that will hold the runs.")] = "runs",
    ray: Annotated[bool, typer.Option(help="Start Ray and stop it again.")] = True,
    cluster: Annotated[
        bool, typer.Option("--cluster", help="Check every node of a running cluster instead.")
    ] = False,
    address: Annotated[str, typer.Option(help="Of the cluster; that of this machine.")] = "auto",
    as_json: AsJson = False,
) -> None:
    """Say whether this machine is fit: packages, CPUs, GPUs, memory, disk, Ray. With --cluster,
    whether all nodes of a cluster are: versions, shared folder, clocks, network. Exit code 1 if
    something is not."""
    from famus_ray.cli.output import print_finding

    found: list[dict[str, str]] = []
    node = ""
    for where, finding in _on_nodes(address, root) if cluster else _here(root, ray):
        found.append({"node": where, **vars(finding)} if cluster else vars(finding))
        if not as_json:
            if where != node:
                print(where)
            print_finding(finding.level, finding.what, finding.mend)
        node = where
    fit = all(finding["level"] != "unfit" for finding in found)
    if as_json:
        print(json.dumps({"fit": fit, "findings": found}))
    sys.exit(0 if fit else 1)


def _here(root: str, ray: bool) -> Iterator[tuple[str, Finding]]:
    from famus_ray.scale.machine import check_machine

    folder = working_copy(root) if is_url(root) else Path(root)
    yield from (("", finding) for finding in check_machine(folder, ray=ray))


def _on_nodes(address: str, root: str) -> Iterator[tuple[str, Finding]]:
    from famus_ray.cli.output import say
    from famus_ray.scale.cluster_check import check_cluster

    say("asking every node of the cluster; at most some minutes")
    for node, findings in check_cluster(address, root).items():
        yield from ((node or "the cluster", finding) for finding in findings)
