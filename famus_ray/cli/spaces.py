"""Commands about search spaces."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from famus_ray.cli.options import AsJson, group

__all__ = ["spaces_app"]

spaces_app = group("Search spaces that come with the package.")


@spaces_app.command("list")
def spaces_list(as_json: AsJson = False) -> None:
    """Names of the search spaces."""
    from famus_ray.config.space import space_names

    print(json.dumps(space_names()) if as_json else "\n".join(space_names()))


@spaces_app.command("show")
def spaces_show(name: Annotated[str, typer.Argument(help="A search space's name.")]) -> None:
    """The YAML of a search space."""
    from famus_ray.config.space import space_path

    print(space_path(name).read_text(encoding="utf-8"), end="")
