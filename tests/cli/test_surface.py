"""What users type and scripts rely on: a change of it is made on purpose.

`python tests/cli/test_surface.py` writes tests/cli/surface.txt anew.
"""

from __future__ import annotations

from collections.abc import Iterator
from pathlib import Path
from typing import Any

import typer

import famus_ray
from famus_ray.cli import app
from famus_ray.config.presets import preset_names, space_names
from famus_ray.config.schema import field_names
from famus_ray.records.tables import CURVES, LABELS, SAMPLES, TRIALS

FROZEN = Path(__file__).with_name("surface.txt")


def commands(command: Any, path: tuple[str, ...]) -> Iterator[str]:
    for parameter in sorted(command.params, key=lambda p: p.name):
        if parameter.name != "help":
            words = " ".join(sorted(parameter.opts)) if parameter.opts else parameter.name
            yield f"{' '.join(path)}: {words}"
    for name, inside in sorted(getattr(command, "commands", {}).items()):
        yield " ".join((*path, name))
        yield from commands(inside, (*path, name))


def surface() -> str:
    tables = {"curves": CURVES, "labels": LABELS, "samples": SAMPLES, "trials": TRIALS}
    lines = [
        *commands(typer.main.get_command(app), ("famus-ray",)),
        *(f"famus_ray.{name}" for name in sorted(famus_ray.__all__)),
        *(f"setting {name}" for name in field_names()),
        *(f"preset {name}" for name in preset_names()),
        *(f"space {name}" for name in space_names()),
        *(f"column {table}.{name}" for table, schema in tables.items() for name in schema.columns),
    ]
    return "\n".join(lines) + "\n"


def test_commands_settings_and_columns_are_as_they_were():
    assert surface() == FROZEN.read_text(encoding="utf-8")


if __name__ == "__main__":
    FROZEN.write_text(surface(), encoding="utf-8")
