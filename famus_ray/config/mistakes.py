"""What is said of settings that are wrong: in the words of people who write them."""

from __future__ import annotations

import json
from collections.abc import Sequence
from typing import Any

from famus_ray.config.schema import MAIN_FIELD, Config, field_names
from famus_ray.errors import did_you_mean, near, suggestion

__all__ = ["describe", "joined", "key_hint", "report", "shown", "what_is_wrong"]

_MESSAGES = {  # of pydantic's kinds of errors, in the words of people who write settings
    "greater_than": "must be > {gt}",
    "greater_than_equal": "must be >= {ge}",
    "less_than": "must be < {lt}",
    "less_than_equal": "must be <= {le}",
    "literal_error": "must be {expected}",
    "int_parsing": "must be a whole number",
    "int_type": "must be a whole number",
    "int_from_float": "must be a whole number",
    "float_parsing": "must be a number",
    "float_type": "must be a number",
    "finite_number": "must be a finite number",
    "bool_parsing": "must be true or false",
    "bool_type": "must be true or false",
    "string_type": "must be a text",
    "string_too_short": "must not be empty",
    "tuple_type": "must be a list in brackets",
    "list_type": "must be a list in brackets",
    "dict_type": "must hold settings and their values",
    "missing": "is missing",
    "too_short": "is empty",
    "extra_forbidden": "unknown key",
}


def describe(details: Any) -> tuple[str, str]:
    """The key that an error of pydantic's is about, and what is said of it."""
    section, name = (str(part) for part in details["loc"][:2])
    key, value = f"{section}.{name}", details["input"]
    message = what_is_wrong(details)
    if details["type"] == "literal_error":
        message += did_you_mean(str(value), str(details["ctx"]["expected"]).split("'")[1::2])
    elif message.endswith("number") and (usual := _default(section, name)) is not None:
        message += f", such as {usual}"
    return key, f"{key} = {value if isinstance(value, str) else shown(value)}: {message}"


def what_is_wrong(details: Any) -> str:
    """What an error of pydantic's says of the value."""
    message = _MESSAGES.get(details["type"], details["msg"].removeprefix("Value error, "))
    return str(message.format(**details.get("ctx", {})))


def shown(value: Any) -> str:
    """A value as YAML has it: null, true, and texts in quotes."""
    plain = value is None or isinstance(value, bool | str)
    return json.dumps(value, ensure_ascii=False) if plain else str(value)


def _default(section: str, name: str) -> Any:
    return getattr(getattr(Config(), section), name)


def report(problems: Sequence[tuple[str, str]]) -> str:
    """All problems, each given as source and message, by their sources."""
    sources = dict.fromkeys(source for source, _ in problems)
    return "\n".join(
        joined(source, [message for origin, message in problems if origin == source])
        for source in sources
    )


def joined(source: str, problems: Sequence[str]) -> str:
    """One line of a source's only problem, or a line each."""
    if len(problems) == 1:
        return f"{source}: {problems[0]}"
    return "\n".join([f"{source}: {len(problems)} problems", *(f"  - {p}" for p in problems)])


def key_hint(key: str) -> str:
    """The end of a message about a setting that there is not: the ones that may be meant."""
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
