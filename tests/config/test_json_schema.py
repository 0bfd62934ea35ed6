"""The JSON Schema that editors use agrees with what the program accepts."""

import json

import jsonschema
import pytest
import yaml

from famus_ray.config import preset_names, preset_path
from famus_ray.config.json_schema import json_schema

VALIDATOR = jsonschema.Draft202012Validator(json_schema())


def test_the_shipped_schema_is_up_to_date():
    shipped = preset_path("digits").with_name("schema.json")
    assert json.loads(shipped.read_text()) == json_schema()


@pytest.mark.parametrize("name", preset_names())
def test_shipped_presets_are_valid(name):
    VALIDATOR.validate(yaml.safe_load(preset_path(name).read_text()))


@pytest.mark.parametrize("good", [{"method": "famus"}, {"method": {"name": "ce"}}, {}])
def test_short_and_long_forms_are_valid(good):
    assert VALIDATOR.is_valid(good)


@pytest.mark.parametrize(
    "bad", [{"method": "fmus"}, {"meta": {"lrr": 1}}, {"noise": {"rate": 2}}, {"mtea": {}}]
)
def test_mistakes_are_invalid(bad):
    assert not VALIDATOR.is_valid(bad)


def test_every_setting_is_explained():
    for section in json_schema()["$defs"].values():
        for name, field in section["properties"].items():
            assert field.get("description"), name
