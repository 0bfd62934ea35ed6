"""A YAML file with the line of every key and every item.

Values are those of PyYAML's safe loader, as Ray's launcher and Kubernetes read them. Duplicate keys
are problems, since the loader would take the last one silently.
"""

from __future__ import annotations

from collections.abc import Container, Iterator, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import yaml

from famus_ray.cluster.problem import Problem
from famus_ray.config.yaml_text import read_text
from famus_ray.errors import UserError

__all__ = ["Address", "Marked", "Read", "load", "read"]

Address = tuple[str | int, ...]

_MOST_NODES = 10**5  # with aliases expanded


@dataclass(frozen=True)
class Marked:
    """One YAML document and the lines of its parts.

    Attributes:
        path: the file.
        content: mappings, lists, strings, numbers, booleans, dates and nulls.
        lines: the line, from 1, of each key and item by its address; of the document by `()`.
    """

    path: Path
    content: Any
    lines: Mapping[Address, int]

    def line_of(self, address: str | Address = ()) -> int:
        """The line of a key or item, such as `a.b.0`; of the nearest one around it if it is not
        there."""
        parts = _parts(address)
        while parts not in self.lines:
            parts = parts[:-1]
        return self.lines[parts]

    def at(self, address: str | Address, default: Any = None) -> Any:
        """The value at an address, such as `a.b.0`, or the default if there is none."""
        value = self.content
        for part in _parts(address):
            inside: Container[Any] = value if isinstance(value, dict) else ()
            if isinstance(value, list):
                inside = range(len(value))
            if part not in inside:
                return default
            value = value[part]
        return value

    def mapping(self, address: str | Address) -> dict[str, Any]:
        """The mapping at an address; empty if there is none."""
        value = self.at(address)
        return value if isinstance(value, dict) else {}

    def items(self, address: str | Address) -> list[Any]:
        """The list at an address; empty if there is none."""
        value = self.at(address)
        return value if isinstance(value, list) else []

    def mappings(self, address: str | Address) -> list[tuple[int, dict[str, Any]]]:
        """The mappings in the list at an address, with their numbers."""
        found = enumerate(self.items(address))
        return [(index, item) for index, item in found if isinstance(item, dict)]

    def texts(self) -> Iterator[tuple[Address, str]]:
        """Every text value with its address, in the order of the lines."""
        for address in sorted(self.lines, key=lambda address: self.lines[address]):
            value = self.at(address)
            if isinstance(value, str):
                yield address, value

    def problem(self, address: str | Address, rule: str, what: str, mend: str) -> Problem:
        """A problem at the line of an address."""
        return Problem(self.path, self.line_of(address), rule, what, mend)


@dataclass(frozen=True)
class Read:
    """What a file holds: its documents, and what was wrong with its YAML."""

    documents: list[Marked]
    problems: list[Problem]


def _parts(address: str | Address) -> Address:
    if not isinstance(address, str):
        return address
    return tuple(int(part) if part.isdecimal() else part for part in address.split(".") if part)


def load(path: Path) -> Marked:
    """The only document of a file.

    Raises:
        UserError: it cannot be read, is no YAML, has duplicate keys, or has several documents.
    """
    found = read(path)
    if found.problems:
        raise UserError("\n".join(map(str, found.problems)))
    if len(found.documents) != 1:
        raise UserError(f"{path}: {len(found.documents)} documents; one is needed")
    return found.documents[0]


def read(path: Path) -> Read:
    """The documents of a file that are not empty, and every problem of its YAML.

    Raises:
        UserError: the file cannot be read, or is no text.
    """
    text = read_text(path)
    documents: list[Marked] = []
    problems: list[Problem] = []
    try:
        loader = yaml.SafeLoader(text)
        while loader.check_node():
            if (node := loader.get_node()) is None:
                continue
            problems += [
                Problem(path, line, "duplicate-key", f"{key}: a second time", "remove one of them")
                for key, line in _duplicates(node, set())
            ]
            lines: dict[Address, int] = {(): node.start_mark.line + 1}
            _mark(loader, node, (), lines, ())
            if (content := loader.construct_document(node)) is not None:
                documents.append(Marked(path, content, lines))
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark or error.context_mark
        line = mark.line + 1 if mark else 1
        what = f"no YAML: {error.problem or error.context}"
        problems.append(Problem(path, line, "yaml", what, "mend this line or the one before"))
    except (yaml.YAMLError, ValueError, RecursionError) as error:
        what = f"no YAML: {next(iter(str(error).splitlines()), 'nested too deeply')}"
        problems.append(Problem(path, 1, "yaml", what, "save it as plain YAML"))
    return Read(documents, problems)


def _duplicates(node: yaml.Node, known: set[int]) -> Iterator[tuple[str, int]]:
    """Keys that a mapping has a second time, with their lines."""
    if id(node) in known or not isinstance(node, yaml.CollectionNode):
        return
    known.add(id(node))
    seen = set()
    for child in node.value:
        if isinstance(child, tuple):
            key, child = child
            if isinstance(key, yaml.ScalarNode):
                if key.value in seen:
                    yield key.value, key.start_mark.line + 1
                seen.add(key.value)
        yield from _duplicates(child, known)


def _mark(
    loader: yaml.SafeLoader,
    node: yaml.Node,
    address: Address,
    lines: dict[Address, int],
    above: tuple[int, ...],
) -> None:
    """Note the lines of a node's children; of `<<: *name` those where the name stands."""
    if id(node) in above:
        raise yaml.constructor.ConstructorError(
            None, None, "an alias of what it is in", node.start_mark
        )
    if len(lines) > _MOST_NODES:
        raise yaml.constructor.ConstructorError(
            None, None, "aliases of aliases make it too large", node.start_mark
        )
    above = (*above, id(node))
    if isinstance(node, yaml.MappingNode):
        loader.flatten_mapping(node)
        for key, value in node.value:
            name = loader.construct_object(key, deep=True)
            here = (*address, name if isinstance(name, (str, int)) else str(key.value))
            lines[here] = key.start_mark.line + 1
            _mark(loader, value, here, lines, above)
    elif isinstance(node, yaml.SequenceNode):
        for index, item in enumerate(node.value):
            lines[*address, index] = item.start_mark.line + 1
            _mark(loader, item, (*address, index), lines, above)
