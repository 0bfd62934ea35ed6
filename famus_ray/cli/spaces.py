"""The commands `spaces`, about search spaces."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from famus_ray.cli.options import AsJson, group

__all__ = ["spaces_app"]

spaces_app = group("Search spaces that come with the package.")


@spaces_app.command("list")
def spaces_list(as_json: AsJson = False) -> None:
    """The search spaces, and what each is for."""
    from famus_ray.config.presets import space_names
    from famus_ray.config.resolve import load_yaml
    from famus_ray.spaces.space_file import space_path

    about = {name: str(load_yaml(space_path(name)).get("about", "")) for name in space_names()}
    if as_json:
        print(json.dumps(about))
        return
    width = max(map(len, about))
    for name, line in about.items():
        print(f"{name:<{width}}  {line}")


@spaces_app.command("show")
def spaces_show(name: Annotated[str, typer.Argument(help="A search space's name.")]) -> None:
    """The YAML of a search space."""
    from famus_ray.spaces.space_file import space_path

    print(space_path(name).read_text(encoding="utf-8"), end="")
