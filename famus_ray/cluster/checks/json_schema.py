"""Problems of a part of a file under a JSON Schema, each with its line."""

from __future__ import annotations

from collections.abc import Iterator
from typing import Any

from famus_ray.cluster.problem import Problem
from famus_ray.cluster.yaml_lines import Address, Marked
from famus_ray.errors import did_you_mean

__all__ = ["dotted", "schema_problems"]


def dotted(address: Address) -> str:
    """An address in words, such as `spec.containers.0.image`."""
    return ".".join(map(str, address))


def schema_problems(
    marked: Marked, address: Address, content: Any, schema: dict[str, Any], rule: str
) -> list[Problem]:
    """Every problem of a part of a document under a schema.

    Args:
        marked: the document, for its lines.
        address: where the part is.
        content: the part, perhaps with defaults filled in.
        schema: the JSON Schema; unknown keys are problems where it says so.
        rule: the rule's name in the problems.
    """
    from jsonschema import Draft202012Validator

    found: list[Problem] = []
    for error in Draft202012Validator(schema).iter_errors(content):
        here = (*address, *error.absolute_path)
        for there, what, mend in _told(error, here):
            found.append(marked.problem(there, rule, what, mend))
    return sorted(set(found))


def _told(error: Any, here: Address) -> Iterator[tuple[Address, str, str]]:
    """Where a schema's error is, what is wrong, and how to mend it."""
    name, value, wanted = dotted(here) or "the file", error.instance, error.validator_value
    if error.validator == "additionalProperties" and wanted is False:
        known = error.schema.get("properties", {})
        for key in value:
            if key not in known:
                what = f"{dotted((*here, key))}: unknown key{did_you_mean(str(key), known)}"
                yield (*here, key), what, "correct its name or remove it"
    elif error.validator == "required":
        for key in wanted:
            if key not in value:
                yield here, f"{name}: {key} is missing", f"write {key}: ..."
    elif error.validator == "type":
        kinds = [wanted] if isinstance(wanted, str) else wanted
        yield (
            here,
            f"{name} = {value!r}: of another kind",
            f"write {' or '.join(map(_kind, kinds))}",
        )
    elif error.validator == "enum":
        near = did_you_mean(str(value), map(str, wanted))
        some = ", ".join(map(str, wanted[:8])) + (", ..." if len(wanted) > 8 else "")
        yield here, f"{name} = {value!r}: not known{near}", f"write one of {some}"
    else:
        yield here, f"{name}: {error.message}", "write what the schema allows"


def _kind(name: str) -> str:
    known = {"object": "a mapping", "array": "a list", "integer": "a whole number"}
    known |= {"string": "a text, in quotes if it looks like a number", "boolean": "true or false"}
    return known.get(name, f"a {name}")
