"""`famus-ray presets` and `spaces`."""

import json

import yaml


def test_presets_and_spaces_are_listed_and_shown(here):
    assert "digits" in here("presets", "list")[1].split()
    assert "famus" in json.loads(here("spaces", "list", "--json")[1])
    assert yaml.safe_load(here("presets", "show", "digits")[1])["data"]["name"] == "digits"
    assert "meta.lr" in yaml.safe_load(here("spaces", "show", "famus")[1])["space"]
    assert "data" in json.loads(here("presets", "schema")[1])["properties"]


def test_a_copied_preset_can_be_changed_and_used(here, tmp_path):
    assert here("presets", "copy", "digits", "mine.yaml")[:2] == (0, "mine.yaml\n")
    copy = tmp_path / "mine.yaml"
    copy.write_text(copy.read_text().replace("epochs: 30", "epochs: 9"))
    content = json.loads(here("train", "mine.yaml", "--dry-run", "--json")[1])
    assert content["config"]["schedule"]["epochs"] == 9
    assert content["sources"]["schedule.epochs"] == "mine.yaml"
