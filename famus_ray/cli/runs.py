"""The command `runs`, which lists runs and studies."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from famus_ray.cli.options import AsJson

__all__ = ["runs"]


def runs(
    root: Annotated[Path, typer.Option(help="Folder that holds the runs.")] = Path("runs"),
    as_json: AsJson = False,
) -> None:
    """List the runs and studies: state, how far they came, and the best value."""
    from famus_ray.cli.output import print_table, say
    from famus_ray.reading.runs import list_runs

    found = list_runs(root)
    if as_json:
        print(json.dumps([vars(one) for one in found]))
        return
    if not found:
        say(f"{root}: no run or study in it yet")
        return
    rows = [
        (
            one.name,
            one.kind,
            one.state,
            one.what,
            ""
            if one.planned is None
            else f"{one.done}/{one.planned} " + ("epochs" if one.kind == "run" else "trials"),
            "" if one.best is None else f"{one.best:.4f}",
            one.note,
        )
        for one in found
    ]
    names = ("name", "kind", "state", "what", "done", "best", "")
    print_table(names, rows)
