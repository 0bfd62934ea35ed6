"""The commands `presets`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from famus_ray.cli.options import AsJson, check_target, group
from famus_ray.errors import UserError

__all__ = ["presets_app"]

presets_app = group("Settings that come with the package.")


@presets_app.command("list")
def presets_list(as_json: AsJson = False) -> None:
    """Names of the presets."""
    from famus_ray.config.presets import preset_names

    print(json.dumps(preset_names()) if as_json else "\n".join(preset_names()))


@presets_app.command("show")
def presets_show(name: Annotated[str, typer.Argument(help="A preset's name.")]) -> None:
    """The YAML of a preset."""
    from famus_ray.config.presets import preset_path

    print(preset_path(name).read_text(encoding="utf-8"), end="")


@presets_app.command("copy")
def presets_copy(
    name: Annotated[str, typer.Argument(help="A preset's name.")],
    to: Annotated[Path | None, typer.Argument(help="The copy; NAME.yaml when left out.")] = None,
) -> None:
    """Copy a preset, to change it."""
    from famus_ray.config.presets import preset_path
    from famus_ray.files import write_text

    source = preset_path(name)
    target = to or Path(f"{name}.yaml")
    check_target(target, ".yaml", ".yml")
    if target.exists():
        raise UserError(f"{target}: there already; choose another name")
    schema = source.with_name("schema.json")
    text = source.read_text(encoding="utf-8").replace("$schema=schema.json", f"$schema={schema}")
    write_text(target, text)
    print(target)


@presets_app.command("schema")
def presets_schema() -> None:
    """The JSON Schema of a preset, for editors."""
    from famus_ray.config.json_schema import json_schema

    print(json.dumps(json_schema(), indent=2))
