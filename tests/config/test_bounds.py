"""Every setting has bounds, and whatever lies beyond them is answered in one line."""

import re

import pytest

from famus_ray import UserError
from famus_ray.config import resolve
from famus_ray.config.json_schema import json_schema
from famus_ray.config.schema import Config, field_names

SCHEMA = json_schema()
FAR = [10**5000, -(10**5000), 10**40, 1e308, -1e308, float("nan"), float("inf"), 10**400]
ODD = [
    "",
    None,
    True,
    [],
    [[]],
    [None],
    {},
    {"a": {"b": 1}},
    [[10**5000]],
    "x" * 10**5,
    b"\xff",
    "\ud800",
    "a\nb",
]


def numbers(key):
    """The schemas of the numbers that a setting takes, those in lists included; no choices."""
    section, _, name = key.partition(".")
    field = SCHEMA["$defs"][type(getattr(Config(), section)).__name__]["properties"][name]
    waiting, found = [field], []
    while waiting:
        part = waiting.pop()
        waiting += part.get("anyOf", [])
        waiting += [part["items"]] if "items" in part else []
        is_number = part.get("type") in ("number", "integer") and "enum" not in part
        found += [part] if is_number else []
    return found


def ends(schema):
    """Lower and upper bound of a number, and the nearest values beyond them."""
    low = schema.get("minimum", schema.get("exclusiveMinimum"))
    high = schema.get("maximum", schema.get("exclusiveMaximum"))
    whole = schema["type"] == "integer"
    below = low if "exclusiveMinimum" in schema else low - (1 if whole else 1e-9)
    above = high if "exclusiveMaximum" in schema else high + (1 if whole else abs(high) * 1e-6)
    return below, above


NUMBERS = [key for key in field_names() if numbers(key)]
IN_LISTS = ("model.widths", "schedule.milestones")


def refusal(key, value):
    section, _, name = key.partition(".")
    with pytest.raises(UserError) as caught:
        resolve(values={section: {name: value}})
    message = str(caught.value)
    assert message.startswith(f"arguments: {key} = ")
    assert "\n" not in message
    assert len(message) < 400
    assert "Input" not in message
    return message


def test_the_settings_have_numbers():
    assert len(NUMBERS) > 60


@pytest.mark.parametrize("key", NUMBERS)
def test_every_number_has_a_lower_and_an_upper_bound(key):
    for schema in numbers(key):
        assert {"minimum", "exclusiveMinimum"} & {*schema}, schema
        assert {"maximum", "exclusiveMaximum"} & {*schema}, schema


@pytest.mark.parametrize("key", NUMBERS)
def test_what_lies_beyond_a_bound_is_refused_with_the_bound(key):
    for schema in numbers(key):
        for value in ends(schema):
            message = refusal(key, [value] if key in IN_LISTS else value)
            assert re.search(r": must be (<|>)=? [-\d.e+]+$", message), message


@pytest.mark.parametrize("key", NUMBERS)
def test_what_is_far_beyond_is_refused(key):
    for value in FAR:
        refusal(key, [value] if key in IN_LISTS else value)


@pytest.mark.parametrize("key", field_names())
def test_odd_values_are_taken_or_refused_in_one_line(key):
    section, _, name = key.partition(".")
    for value in [*ODD, *FAR]:
        try:
            resolve(values={section: {name: value}})
        except UserError:
            refusal(key, value)
