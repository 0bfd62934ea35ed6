"""Messages about wrong settings, in the terms of the users who write them."""

from __future__ import annotations

import json
import reprlib
from collections.abc import Mapping, Sequence
from typing import Any

from famus_ray.config.schema import MAIN_FIELD, Config, field_names
from famus_ray.errors import did_you_mean, near, suggestion

__all__ = ["cut", "describe", "joined", "key_hint", "report", "shown", "what_is_wrong"]

_MESSAGES = {  # by pydantic's type of error
    "greater_than": "must be > {gt}",
    "greater_than_equal": "must be >= {ge}",
    "less_than": "must be < {lt}",
    "less_than_equal": "must be <= {le}",
    "literal_error": "must be {expected}",
    "int_parsing": "must be a whole number",
    "int_parsing_size": "must be a number of fewer digits",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "string_too_long": "must have at most {max_length} characters",
    "string_unicode": "must be a text",
    "tuple_type": "must be a list in brackets",
    "list_type": "must be a list in brackets",
    "dict_type": "must hold settings and their values",
    "missing": "is missing",
    "too_short": "is empty",
    "too_long": "must have at most {max_length} entries",
    "extra_forbidden": "unknown key",
}

_LONGEST = 100  # characters of a value that a message repeats


def describe(details: Any, values: Mapping[str, Any]) -> tuple[str, str]:
    """The dotted key and the message of one of pydantic's errors.

    Args:
        details: an entry of `ValidationError.errors()`.
        values: as given by the user, by dotted key.
    """
    section, name, *place = details["loc"]
    key = f"{section}.{name}"
    value = values.get(key, details["input"])
    if place and isinstance(place[0], int) and isinstance(value, list | tuple):
        value = value[place[0]]
    written = (cut(value) or "''") if isinstance(value, str) else shown(value)
    message = what_is_wrong(details)
    if details["type"] == "literal_error":
        message += did_you_mean(written, str(details["ctx"]["expected"]).split("'")[1::2])
    elif message.endswith("number") and (usual := _default(section, name)) is not None:
        message += f", such as {usual}"
    return key, f"{key} = {written}: {message}"


def what_is_wrong(details: Any) -> str:
    """The message of one of pydantic's errors, without the key and the value."""
    message = _MESSAGES.get(details["type"], details["msg"].removeprefix("Value error, "))
    return str(message.format(**details.get("ctx", {})))


def shown(value: Any) -> str:
    """A value in YAML's notation (null, true, strings in quotes), shortened if it is long."""
    if isinstance(value, str):
        return json.dumps(cut(value), ensure_ascii=False)
    if isinstance(value, int) and value.bit_length() > 100:
        return f"a whole number of {round(value.bit_length() * 0.30103)} digits"
    return json.dumps(value) if value is None or isinstance(value, bool) else cut(value)


def cut(value: Any) -> str:
    """A value as one line of printable characters, shortened if it is long."""
    try:
        text = value if isinstance(value, str) else reprlib.repr(value)
    except ValueError:  # Python does not print numbers of thousands of digits
        text = f"a {type(value).__name__}"
    text = "".join(letter if letter.isprintable() else ascii(letter)[1:-1] for letter in text)
    return text if len(text) <= _LONGEST else f"{text[:_LONGEST]}… ({len(text)} characters)"


def _default(section: str, name: str) -> Any:
    return getattr(getattr(Config(), section), name)


def report(problems: Sequence[tuple[str, str]]) -> str:
    """All problems, given as pairs (source, message), grouped by source, without duplicates."""
    problems = list(dict.fromkeys(problems))
    sources = dict.fromkeys(source for source, _ in problems)
    return "\n".join(
        joined(source, [message for origin, message in problems if origin == source])
        for source in sources
    )


def joined(source: str, problems: Sequence[str]) -> str:
    """A source's problems as text: one line for a single problem, else a list."""
    if len(problems) == 1:
        return f"{source}: {problems[0]}"
    return "\n".join([f"{source}: {len(problems)} problems", *(f"  - {p}" for p in problems)])


def key_hint(key: str) -> str:
    """The end of a message about an unknown setting: names that may be meant."""
    section, _, name = key.partition(".")
    if section in Config.model_fields:
        inside = [n.partition(".")[2] for n in field_names() if n.startswith(f"{section}.")]
        if not name:
            return f": it is a section; set one of its keys, such as {section}.{inside[0]}"
        close = [f"{section}.{n}" for n in near(name, inside)]
        return suggestion(close) or f"; {section} has {', '.join(inside)}"
    by_last_word: dict[str, list[str]] = {}
    for known in field_names():
        by_last_word.setdefault(known.partition(".")[2], []).append(known)
    last = name or section
    meant = [] if name else by_last_word.get(last, [])
    meant = meant or near(key, [*field_names(), *MAIN_FIELD]) or by_last_word.get(last, [])
    meant = meant or [
        known for word in near(last, by_last_word, cutoff=0.75) for known in by_last_word[word]
    ]
    return suggestion(meant) or f"; sections are {', '.join(Config.model_fields)}"
