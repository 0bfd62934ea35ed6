"""Settings from presets, files and the command line, and what is said of mistakes in them."""

import contextlib
import re
import tempfile
from pathlib import Path

import pytest
import yaml
from hypothesis import example, given, settings
from hypothesis import strategies as st
from pydantic import ValidationError

from famus_ray import UserError
from famus_ray.config import Config, preset_names, resolve
from famus_ray.config.schema import field_names
from famus_ray.records.run_folder import config_text


def refusal(*args, **kwargs):
    with pytest.raises(UserError) as caught:
        resolve(*args, **kwargs)
    return str(caught.value)


@pytest.mark.parametrize("name", preset_names())
def test_every_shipped_preset_resolves(name):
    assert resolve(name).sources["data.name"] == name


@pytest.mark.parametrize(
    ("override", "hint"),
    [
        ("meta.lrr=1", "'meta.lr'"),
        ("mtea.lr=1", "'meta.lr'"),
        ("epochs=3", "'schedule.epochs'"),
        ("lr=3", "'meta.lr' or 'optimiser.lr'"),
        ("lrr=3", "'meta.lr' or 'optimiser.lr'"),
        ("optimizer.momentum=0.5", "'optimiser.momentum'"),
        ("optimizer.lr=0.1", "'optimiser.lr'"),
        ("run.sede=1", "'run.seed'"),
    ],
)
def test_unknown_key_suggests_the_likely_one(override, hint):
    message = refusal(None, [override])
    assert message.startswith(f"command line: {override.partition('=')[0]}: unknown key")
    assert message.endswith(f"did you mean {hint}?")


def test_unknown_section_lists_the_sections():
    message = refusal(None, ["zebra=1"])
    assert "zebra: unknown key" in message
    assert all(section in message for section in Config.model_fields)


def test_a_word_in_place_of_a_section_does_not_suggest_itself():
    assert "did you mean 'meta'" not in refusal(None, ["meta=3"])


def test_problems_of_all_sources_come_at_once_with_source_key_and_value(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("meta: {lrr: 1}\noptimiser: {lr: -1}\n")
    message = refusal(file, ["noise.rate=2", "study.trials=1.5"], {"method": "fmus"})
    in_file, on_line, in_arguments = re.split("\n(?=[ca])", message)
    assert in_file.startswith(f"{file}: 2 problems\n  - ")
    assert on_line.startswith("command line: 2 problems\n  - ")
    assert "meta.lrr: unknown key" in in_file
    assert "optimiser.lr = -1: must be > 0" in in_file
    assert "method.name = fmus" in in_arguments
    assert "did you mean 'famus'?" in in_arguments
    assert "noise.rate = 2: must be <= 1" in on_line
    assert "study.trials = 1.5: must be a whole number" in on_line


def test_an_exponent_without_a_point_is_a_number(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("meta: {lr: 1e-3}\n")
    assert resolve(file).config.meta.lr == 0.001
    assert resolve(None, ["meta.lr=2e-3"]).config.meta.lr == 0.002


def test_a_syntax_error_names_file_and_line(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("meta:\n  lr: 0.1\n\tk: 3\n")
    assert refusal(file).startswith(f"{file}: line 3: ")


def test_a_python_tag_is_refused_and_not_run(tmp_path):
    marker, file = tmp_path / "marker", tmp_path / "evil.yaml"
    file.write_text(f"method: !!python/object/apply:os.system ['touch {marker}']\n")
    assert "os.system" in refusal(file)
    assert not marker.exists()


def test_unknown_preset_suggests_one():
    assert "did you mean 'digits'?" in refusal("digist")


def test_a_missing_file_is_said_to_be_missing(tmp_path):
    assert "file not found" in refusal(tmp_path / "none.yaml")


def test_a_section_as_a_word_is_its_main_field(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("method: mwnet\n")
    assert resolve(file).config.method.name == "mwnet"
    assert resolve("digits", ["method=ce"]).config.method.name == "ce"
    assert resolve("digits", values={"schedule": "constant"}).config.schedule.kind == "constant"


@pytest.mark.parametrize("order", [(0, 1), (1, 0)])
def test_the_word_form_goes_together_with_other_keys_of_its_section(order):
    overrides = ["noise=symmetric", "noise.rate=0.3"]
    noise = resolve(None, [overrides[i] for i in order]).config.noise
    assert (noise.kind, noise.rate) == ("symmetric", 0.3)


def test_the_data_set_asked_for_is_the_one_that_is_used():
    data = resolve("digits", ["data=cifar10", "data.root=/data"]).config.data
    assert (data.name, data.root) == ("cifar10", "/data")


def test_spaces_around_a_key_do_not_matter():
    assert resolve(None, ["meta.lr = 0.5"]).config.meta.lr == 0.5


def test_the_last_override_wins():
    assert resolve(None, ["meta.k=2", "meta.k=3"]).config.meta.k == 3


def test_sources_say_where_each_value_came_from(tmp_path):
    file = tmp_path / "mine.yaml"
    file.write_text("meta: {lr: 0.5, k: 1}\n")
    found = resolve(file, ["meta.k=2"], {"method": "ce"}, values_from="a space")
    assert found.sources["meta.lr"] == str(file)
    assert found.sources["meta.k"] == "command line"
    assert found.sources["method.name"] == "a space"
    assert found.sources["meta.hidden"] == "default"


def test_a_config_cannot_be_changed():
    config = resolve("digits").config
    with pytest.raises(ValidationError):
        config.meta.lr = 1.0
    with pytest.raises(ValidationError):
        config.meta = config.meta


@pytest.mark.parametrize("override", ["noise.rate=true", "run.seed=false", "meta.batch_size=yes"])
def test_truth_values_are_no_numbers(override):
    assert "must be a number, not true or false" in refusal(None, [override])


@pytest.mark.parametrize("word", ["nan", ".nan", ".inf", "null", "fast", "[1]"])
def test_no_number_is_refused_as_a_learning_rate(word):
    assert re.fullmatch(
        r"command line: meta\.lr = \S+: must be a (finite )?number, such as 0\.001",
        refusal(None, [f"meta.lr={word}"]),
    )


@pytest.mark.parametrize("word", ["nan", "''", "[]", "[x]", "{a: 1}", "null", "-1", "1.5", "false"])
def test_no_message_is_the_librarys_own(word):
    for key in field_names():
        with contextlib.suppress(UserError):
            resolve(None, [f"{key}={word}"])
            continue
        message = refusal(None, [f"{key}={word}"])
        assert message.startswith(f"command line: {key} = ")
        assert "Input" not in message


@pytest.mark.parametrize(
    ("overrides", "key"),
    [
        (["noise.rate=0.4"], "noise.rate"),
        (["method=mwnet", "data.meta_per_class=0"], "data.meta_per_class"),
        (["run.batch_size=64", "scale.workers=3"], "run.batch_size"),
    ],
)
def test_settings_that_contradict_each_other_are_refused(overrides, key):
    assert refusal(None, overrides).startswith(f"command line: {key} = ")


def test_a_short_run_needs_no_settings_of_studies():
    assert resolve("digits", ["schedule.epochs=1"]).config.schedule.epochs == 1


def test_a_number_will_do_for_a_name():
    assert resolve("digits", ["run.name=2024"]).config.run.name == "2024"


def comes_back(values):
    """Whether the written config is the config, for this program and for any YAML reader."""
    config = resolve(values=values).config
    text = config_text(config)
    with tempfile.TemporaryDirectory() as folder:
        file = Path(folder) / "config.yaml"
        file.write_text(text, encoding="utf-8")
        again = resolve(file).config
    return again == config == Config.model_validate(yaml.safe_load(text))


rates = st.floats(0, 1e30, exclude_min=True)
words = st.text(
    st.characters(codec="utf-8", exclude_categories=["C", "Z"]), min_size=1, max_size=20
)


@given(
    lr=rates,
    decay=st.floats(0, 1e6),
    rate=st.floats(0, 1),
    seed=st.integers(0, 2**32 - 1),
    batch=st.none() | st.integers(1, 10**6),
    milestones=st.lists(st.integers(0, 999), max_size=10),
    nesterov=st.booleans(),
)
@example(1e22, 1e-05, 5e-324, 0, None, [], False)
@settings(deadline=None)
def test_written_numbers_are_read_back_exactly(lr, decay, rate, seed, batch, milestones, nesterov):
    assert comes_back(
        {
            "meta": {"lr": lr, "weight_decay": decay, "batch_size": batch},
            "noise": {"kind": "symmetric", "rate": rate, "seed": seed},
            "schedule": {"milestones": milestones},
            "optimiser": {"nesterov": nesterov},
        }
    )


@given(name=words)
@example("1e3")
@example("2024")
@example("null")
@example("a # b: c")
@settings(deadline=None)
def test_written_words_are_read_back_exactly(name):
    assert comes_back({"run": {"name": name}})


@pytest.mark.parametrize(
    "values",
    [{"schedule": {"milestones": list(range(1, 60))}}, {"run": {"root": "a long path " * 9 + "."}}],
    ids=["milestones", "path"],
)
def test_long_values_are_read_back_exactly(values):
    assert comes_back(values)


def test_a_file_without_a_setting_is_refused(tmp_path):
    (tmp_path / "mine.yaml").write_text("# nothing yet\n")
    with pytest.raises(UserError, match=r"mine\.yaml: holds no setting"):
        resolve(tmp_path / "mine.yaml")


def test_the_same_problem_of_several_entries_is_told_once():
    with pytest.raises(UserError) as told:
        resolve(overrides=["model.widths=[10000000, 10000000, 10000000]"])
    assert str(told.value).count("model.widths") == 1
