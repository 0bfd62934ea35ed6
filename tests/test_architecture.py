"""The imports of the package, drawn from its sources: they point inwards, and Ray stays outside."""

from __future__ import annotations

import ast
from collections.abc import Iterator
from itertools import chain
from pathlib import Path

import pytest

import famus_ray

ROOT = Path(famus_ray.__file__).parent

# Rooms, the innermost floor first. A room may import what stands on a lower floor, and itself.
FLOORS = (
    {"errors"},
    {"store"},
    {
        "files",
        "randomness",
        "signals",
        "memory",
        "phases",
        "distributed",
        "choices",
        "batch",
        "findings",
        "handed",
        "installed",
    },
    {"config"},
    {"spaces", "models", "data"},
    {"meta", "records"},
    {"methods", "reading"},
    {"training", "run_path", "own_parts", "own_space"},
    {"scale", "bench", "cluster", "begun"},
    {"progress"},
    {"api", "demo", "testing"},
    {"cli", "classifier"},
)


def modules() -> dict[str, ast.Module]:
    """The modules of the package by name, parsed."""
    found = {}
    for path in ROOT.rglob("*.py"):
        name = ".".join(("famus_ray", *path.relative_to(ROOT).with_suffix("").parts))
        found[name.removesuffix(".__init__")] = ast.parse(path.read_text(encoding="utf-8"))
    return found


MODULES = modules()


def imported(tree: ast.AST) -> Iterator[str]:
    """What a module imports, inside of functions too; not what type checkers alone see."""
    for node in ast.iter_child_nodes(tree):
        if isinstance(node, ast.If) and ast.unparse(node.test) == "TYPE_CHECKING":
            yield from chain.from_iterable(imported(other) for other in node.orelse)
        elif isinstance(node, ast.Import):
            yield from (alias.name for alias in node.names)
        elif isinstance(node, ast.ImportFrom):
            module = node.module or ""
            yield from (
                f"{module}.{alias.name}" if f"{module}.{alias.name}" in MODULES else module
                for alias in node.names
            )
        else:
            yield from imported(node)


IMPORTS = {name: set(imported(tree)) for name, tree in MODULES.items()}


def room(module: str) -> str:
    """The folder, or the module beside the folders, that a module is in."""
    return module.split(".")[1] if "." in module else ""


def reached_from(start: str) -> set[str]:
    """Every module that a room's modules import, those that these import, and their packages."""
    waiting = [name for name in MODULES if room(name) == start]
    reached = set()
    while waiting:
        if (name := waiting.pop()) not in reached:
            reached.add(name)
            package = name.rpartition(".")[0]
            waiting += [*IMPORTS.get(name, ()), *({package} & MODULES.keys() - {"famus_ray"})]
    return reached


def test_every_room_has_its_floor():
    rooms = {room(name) for name in MODULES} - {""}
    assert rooms == set().union(*FLOORS)


@pytest.mark.parametrize("name", sorted(MODULES))
def test_imports_point_inwards(name: str):
    floor = {room: height for height, rooms in enumerate(FLOORS) for room in rooms}
    if not (here := room(name)):  # the package itself, whose public names are imported on demand
        return
    for other in IMPORTS[name] & MODULES.keys():
        there = room(other)
        assert there in ("", here) or floor[there] < floor[here], f"{name} imports {other}"


def test_no_module_imports_in_a_circle():
    done: set[str] = set()

    def visit(name: str, path: tuple[str, ...]) -> None:
        assert name not in path, " -> ".join((*path[path.index(name) :], name))
        if name not in done:
            for other in IMPORTS[name] & MODULES.keys() - {"famus_ray"}:
                visit(other, (*path, name))
            done.add(name)

    for name in MODULES:
        visit(name, ())


def is_of(package: str, names: set[str]) -> set[str]:
    return {name for name in names if name.split(".")[0] == package}


def test_ray_is_imported_in_scale_and_by_the_check_of_cluster_files():
    users = {name for name, found in IMPORTS.items() if is_of("ray", found)}
    outside = {name for name in users if room(name) != "scale"}
    assert outside == {"famus_ray.cluster.checks.ray_file"}


@pytest.mark.parametrize("package", ["torch", "ray"])
def test_reading_needs_neither_torch_nor_ray(package: str):
    assert not is_of(package, reached_from("reading"))


@pytest.mark.parametrize("start", ["training", "methods", "meta", "data", "models"])
def test_the_core_needs_no_ray(start: str):
    assert not is_of("ray", reached_from(start))
