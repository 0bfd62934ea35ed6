"""The command `check`, which checks the machine."""

from __future__ import annotations

import json
import sys
from pathlib import Path
from typing import Annotated

import typer

from famus_ray.cli.options import AsJson

__all__ = ["check"]


def check(
    root: Annotated[Path, typer.Option(help="Folder that will hold the runs.")] = Path("runs"),
    ray: Annotated[bool, typer.Option(help="Start Ray and stop it again.")] = True,
    as_json: AsJson = False,
) -> None:
    """Say whether this machine is fit: packages, CPUs, GPUs, memory, disk, Ray. Exit code 1 if it
    is not."""
    from famus_ray.cli.output import print_finding
    from famus_ray.scale.machine import check_machine

    findings = []
    for finding in check_machine(root, ray=ray):
        findings.append(finding)
        if not as_json:
            print_finding(finding.level, finding.what, finding.mend)
    fit = all(finding.level != "unfit" for finding in findings)
    if as_json:
        print(json.dumps({"fit": fit, "findings": [vars(finding) for finding in findings]}))
    sys.exit(0 if fit else 1)
