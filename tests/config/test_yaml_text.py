"""Odd files of settings and odd overrides: their right meaning, or one line about them."""

import os

import pytest

from famus_ray import UserError
from famus_ray.config import resolve
from famus_ray.config.resolve import load_yaml
from famus_ray.spaces.space import load_space

LAUGHS = "a: &a [x, x, x, x, x, x, x, x, x]\n" + "".join(
    f"{b}: &{b} [{', '.join([f'*{a}'] * 9)}]\n" for a, b in zip("abcdefgh", "bcdefghi", strict=True)
)
MEANT = {
    "anchors": ("meta: {lr: &rate 0.25}\noptimiser: {lr: *rate}\n", "optimiser.lr", 0.25),
    "merge keys": ("optimiser: &o {lr: 0.5}\nmeta: {<<: *o, k: 3}\n", "meta.lr", 0.5),
    "a byte order mark": ("\ufeffmeta: {lr: 0.5}\n", "meta.lr", 0.5),
    "Windows lines": ("meta:\r\n  lr: 0.5\r\n", "meta.lr", 0.5),
    "an exponent": ("meta: {lr: 5e-1}\n", "meta.lr", 0.5),
    "an exponent with a sign": ("meta: {lr: +5E+1}\n", "meta.lr", 50.0),
    "underscores": ("run: {seed: 1_000}\n", "run.seed", 1000),
    "no dates": ("run: {name: 2024-05-06}\n", "run.name", "2024-05-06"),
    "quotes": ("run: {name: '010'}\n", "run.name", "010"),
}
REFUSED = {
    "sexagesimal": ("run:\n  seed: 1:30\n", "line 2: 1:30: is not a decimal number"),
    "sexagesimal real": ("meta: {lr: 1:30.5}\n", "1:30.5: is not a decimal number"),
    "octal": ("run: {seed: 010}\n", "010: is not a decimal number"),
    "new octal": ("run: {seed: 0o10}\n", "0o10: is not a decimal number"),
    "hexadecimal": ("run: {seed: 0x10}\n", "0x10: is not a decimal number"),
    "binary number": ("run: {seed: 0b10}\n", "0b10: is not a decimal number"),
    "digits": (f"run: {{seed: {'9' * 5000}}}\n", "run.seed = 9999"),
    "digits of a list": (f"schedule: {{milestones: [{'9' * 5000}]}}\n", "milestones = 9999"),
    "a tab": ("meta:\n\tlr: 1\n", "line 2: "),
    "a key twice": ("meta: {lr: 1, lr: 2}\n", "line 1: found duplicate key lr"),
    "a section twice": ("meta: {lr: 1}\nmeta: {k: 2}\n", "line 2: found duplicate key meta"),
    "an environment variable": (
        "data: {root: '${oc.env:HOME}/data'}\n",
        "nothing is put in the place of ${...}",
    ),
    "an interpolation": ("meta: {lr: '${optimiser.lr}'}\n", "nothing is put in the place"),
    "aliases without end": (LAUGHS, "aliases of aliases"),
    "itself": ("meta: &m {open: [*m]}\n", "an alias of what it is in"),
    "depth": ("meta: " + "[" * 3000, "nested too deeply"),
    "depth of mappings": ("{a: " * 20_000, "nested too deeply"),
    "a tag": ("meta: {lr: !!timestamp 3}\n", "timestamp"),
    "a broken number": ("meta: {lr: !!float x}\n", "float"),
    "two documents": ("meta: {k: 1}\n---\nmeta: {k: 2}\n", "line 2: "),
    "a list": ("- meta\n", "must hold `section:` entries, not a list"),
    "a list as a key": ("? [a]\n: 1\n", "line 1: "),
    "UTF-16": ("meta: {lr: 0.5}\n".encode("utf-16"), "is not UTF-8 text"),
    "an image": (bytes(range(256)), "is not UTF-8 text"),
    "zeros": (bytes(100), "special characters are not allowed"),
    "100 MB": (b"# x\n" * 25_000_000, "larger than 256 KiB"),
    "a surrogate": ('data: {root: "\\ud800"}\n', "data.root = "),
    "a null byte": ('data: {root: "\\0"}\n', "data.root = \\x00: holds a"),
}


@pytest.mark.parametrize(("text", "key", "value"), MEANT.values(), ids=MEANT)
def test_a_file_means_what_people_mean(tmp_path, text, key, value):
    file = tmp_path / "mine.yaml"
    file.write_text(text, encoding="utf-8")
    section, _, name = key.partition(".")
    assert getattr(getattr(resolve(file).config, section), name) == value


@pytest.mark.parametrize(("text", "found"), REFUSED.values(), ids=REFUSED)
def test_a_file_is_refused_in_one_line(tmp_path, text, found):
    file = tmp_path / "mine.yaml"
    file.write_bytes(text if isinstance(text, bytes) else text.encode())
    with pytest.raises(UserError) as caught:
        resolve(file)
    message = str(caught.value)
    assert message.startswith(f"{file}: ")
    assert found in message
    assert "\n" not in message
    assert len(message) < 500


def test_numbers_in_a_space_are_decimal_as_well(tmp_path):
    file = tmp_path / "space.yaml"
    file.write_text("preset: digits\nspace:\n  meta.k: {type: int, low: 01, high: 010}\n")
    with pytest.raises(UserError, match="line 3: 01: is not a decimal number"):
        load_space(str(file))


@pytest.mark.parametrize("load", [resolve, lambda path: load_space(str(path))])
def test_what_is_no_file_is_not_waited_for(tmp_path, load):
    pipe, zeros = tmp_path / "pipe.yaml", tmp_path / "zeros.yaml"
    os.mkfifo(pipe)
    zeros.symlink_to("/dev/zero")
    for path in (pipe, zeros):
        with pytest.raises(UserError, match="is no regular file"):
            load(path)
    with pytest.raises(UserError, match="is no regular file"):
        load_yaml(pipe)
    with pytest.raises(UserError, match="is a folder"):
        load(tmp_path)


@pytest.mark.parametrize(
    ("item", "found"),
    [
        ("=", "'=': expected key=value"),
        ("=1", "'=1': expected key=value"),
        ("a.b.c=1", "a.b.c: unknown key"),
        ("meta.lr.x=1", "meta.lr.x: unknown key"),
        ("meta.lr=", "meta.lr = null: must be a number, such as 0.001"),
        ("meta.lr=1e-3x", "meta.lr = 1e-3x: must be a number, such as 0.001"),
        ("meta.lr=1,5", "meta.lr = 1,5: must be a number"),
        ("meta.lr=٣", "meta.lr = ٣: must be a number"),
        ("mëta.lr=1", "mëta.lr: unknown key"),
        ("run.seed=1:30", "run.seed: 1:30: is not a decimal number"),
        ("run.seed=0x10", "run.seed: 0x10: is not a decimal number"),
        (f"run.seed={'9' * 5000}", "(5000 characters): must be"),
        (f"meta.lr={'9' * 5000}", "(5000 characters): must be"),
        (f"model.name={'x' * 10**5}", "must have at most 1000 characters"),
        (f"{'k' * 10**5}=1", "unknown key"),
        ("x" * 10**5, "expected key=value"),
        ("data.root=${oc.env:HOME}", "nothing is put in the place of"),
        ("data.root=", "data.root"),
        ("data.root=~nobody-here/x", "a user's home that is not known"),
        ("meta.open=[a, a]", "meta.open = ['a', 'a']: has a twice"),
        ("run.track=[tensorboard, tensorboard]", "has tensorboard twice"),
        ("schedule.milestones=[-5]", "schedule.milestones = -5: must be >= 0"),
        ("data.imbalance=1e300", "data.imbalance = 1e+300: must be <= "),
        ("meta.interval=1000000000", "meta.interval = 1000000000: must be <= 10000"),
        ("scale.cpus_per_worker=1e-9", "scale.cpus_per_worker = 1e-09: must be >= 0.01"),
        ("meta={lr: [}", "command line: meta: "),
        ("run.name=\udcff", "special characters are not allowed"),
    ],
)
def test_an_odd_override_is_answered_in_one_line(item, found):
    if item == "data.root=":  # as nothing at all
        assert resolve(None, [item]).config.data.root is None
        return
    with pytest.raises(UserError) as caught:
        resolve(None, [item])
    message = str(caught.value)
    assert message.startswith("command line: ")
    assert found in message
    assert "\n" not in message
    assert len(message) < 1000
