"""A safe, strict YAML reader: decimal numbers only, no duplicate keys, no substitutions."""

from __future__ import annotations

import re
import stat
from pathlib import Path
from typing import Any

import yaml
from yaml.constructor import ConstructorError

from famus_ray.errors import UserError

__all__ = ["parse_yaml", "read_text"]

_LARGEST = 2**18  # bytes of a file: some thousand times a preset
_MOST_NODES = 10**5  # with aliases expanded
_MOST_DIGITS = 300  # no setting takes a number with more

_DECIMAL = re.compile(r"[-+]?(0|[1-9][0-9]*)")
_FLOAT = re.compile(
    r"""([-+]?([0-9][0-9_]*\.[0-9_]*([eE][-+]?[0-9]+)?
    |[0-9][0-9_]*[eE][-+]?[0-9]+
    |\.[0-9][0-9_]*([eE][-+]?[0-9]+)?
    |[0-9][0-9_]*(:[0-5]?[0-9])+\.[0-9_]*
    |\.(inf|Inf|INF))|\.(nan|NaN|NAN))$""",
    re.VERBOSE,
)
_INT = re.compile(
    r"""[-+]?(0b[01_]+|0[0-7_]+|0o[0-7_]+|0|[1-9][0-9_]*|0x[0-9a-fA-F_]+
    |[1-9][0-9_]*(:[0-5]?[0-9])+)$""",
    re.VERBOSE,
)


def read_text(path: Path) -> str:
    """The text of a YAML file.

    Raises:
        UserError: it cannot be read, is no regular file, is not UTF-8, or is far too large.
    """
    try:
        if not stat.S_ISREG(path.stat().st_mode):  # opening a pipe may wait for ever
            raise UserError(f"{path}: is no regular file; copy its text into one")
        with path.open("rb") as file:
            content = file.read(_LARGEST + 1)
    except OSError as error:
        raise UserError(f"{path}: cannot be read: {error.strerror}") from error
    if len(content) > _LARGEST:
        raise UserError(f"{path}: larger than {_LARGEST >> 10} KiB, so no file of settings")
    try:
        return content.decode("utf-8-sig")
    except UnicodeDecodeError as error:
        raise UserError(f"{path}: is not UTF-8 text; save it as UTF-8") from error


def parse_yaml(text: str, source: str, *, lines: bool = True) -> Any:
    """The content of a YAML text: mappings, lists, strings, numbers, booleans and nulls.

    Args:
        text: the YAML text.
        source: its name in messages.
        lines: whether messages give the line.

    Raises:
        UserError: a syntax error, a duplicate key, a number that is not decimal, a tag such as
            `!!python/object`, `${...}`, or aliases that are cyclic or expand too far.
    """
    try:
        loader = _Loader(text)
        node = loader.get_single_node()
        if node is None:
            return None
        _count(node, {})
        return loader.construct_document(node)
    except yaml.MarkedYAMLError as error:
        mark = error.problem_mark
        line = f"line {mark.line + 1}: " if lines and mark else ""
        raise UserError(f"{source}: {line}{error.problem or error.context}") from error
    except (yaml.YAMLError, ValueError) as error:  # ValueError: such as `!!float x`
        raise UserError(f"{source}: {str(error).splitlines()[0]}") from error
    except RecursionError as error:
        raise UserError(f"{source}: nested too deeply") from error


class _Loader(yaml.SafeLoader):
    def construct_mapping(self, node: Any, deep: bool = False) -> Any:
        seen = set()
        for key, _ in node.value if isinstance(node, yaml.MappingNode) else ():
            if isinstance(key, yaml.ScalarNode) and key.value in seen:
                raise ConstructorError(
                    None, None, f"found duplicate key {key.value}", key.start_mark
                )
            seen.add(key.value if isinstance(key, yaml.ScalarNode) else None)
        return super().construct_mapping(node, deep)


def _whole(loader: Any, node: Any) -> int | str:
    text = node.value.replace("_", "")
    if not _DECIMAL.fullmatch(text):
        raise ConstructorError(None, None, _not_decimal(node.value), node.start_mark)
    return int(text) if len(text) <= _MOST_DIGITS else str(node.value)


def _real(loader: Any, node: Any) -> Any:
    if ":" in node.value:
        raise ConstructorError(None, None, _not_decimal(node.value), node.start_mark)
    return loader.construct_yaml_float(node)


def _not_decimal(value: str) -> str:
    return f"{value}: is not a decimal number; write one, or quotes around it if it is a text"


def _text(loader: Any, node: Any) -> str:
    value = str(loader.construct_scalar(node))
    if "${" in value:
        what = f"{value}: nothing is put in the place of ${{...}}; write the value itself"
        raise ConstructorError(None, None, what, node.start_mark)
    return value


_OWN = ("int", "float", "timestamp")
_UNUSUAL = ("timestamp", "binary", "omap", "pairs", "set")
_Loader.yaml_constructors = {
    tag: construct
    for tag, construct in yaml.SafeLoader.yaml_constructors.items()
    if tag is None or tag.rpartition(":")[2] not in _UNUSUAL
}
_Loader.yaml_implicit_resolvers = {
    first: [(tag, found) for tag, found in known if tag.rpartition(":")[2] not in _OWN]
    for first, known in yaml.SafeLoader.yaml_implicit_resolvers.items()
}
for _tag, _form, _construct, _first in (
    ("float", _FLOAT, _real, "-+0123456789."),
    ("int", _INT, _whole, "-+0123456789"),
):
    _Loader.add_implicit_resolver(f"tag:yaml.org,2002:{_tag}", _form, list(_first))
    _Loader.add_constructor(f"tag:yaml.org,2002:{_tag}", _construct)
_Loader.add_constructor("tag:yaml.org,2002:str", _text)


def _count(node: Any, known: dict[int, int]) -> int:
    """The number of nodes of a subtree, with aliases expanded."""
    if id(node) in known:
        if not known[id(node)]:
            raise ConstructorError(None, None, "an alias of what it is in", node.start_mark)
        return known[id(node)]
    known[id(node)] = 0  # not counted yet: a node that refers to it now is inside it
    children = node.value if isinstance(node, yaml.CollectionNode) else ()
    pairs = [
        part for child in children for part in (child if isinstance(child, tuple) else [child])
    ]
    count = 1 + sum(_count(child, known) for child in pairs)
    if count > _MOST_NODES:
        raise ConstructorError(None, None, "aliases of aliases make it too large", node.start_mark)
    known[id(node)] = count
    return count
