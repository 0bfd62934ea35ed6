"""`famus-ray data`: what people see of data sets, made up, whole, or damaged."""

import json
import sys

import pytest

from famus_ray.cli import main
from famus_ray.data.known import KNOWN
from famus_ray.data.made_up import MAKERS, make


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """The program in this process: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["famus-ray", "data", *arguments])
        with pytest.raises(SystemExit) as ended:
            main()
        return ended.value.code, *capsys.readouterr()

    return run


def test_every_known_data_set_is_listed_with_its_layout_and_source(here):
    _, out, _ = here("list")
    for name, known in KNOWN.items():
        assert f"{name}: {known.about}" in out
        assert all(line in out for line in (*known.layout, known.source))
    _, out, _ = here("list", "--json")
    assert json.loads(out)["clothing1m"]["images"]["train"] == 1_000_000
    assert {"digits", "own", "shards", *MAKERS} == set(KNOWN)


@pytest.mark.parametrize("name", MAKERS)
def test_made_up_data_are_recognised_and_fit(here, name):
    code, out, _ = here("make", name, "--images", "20", "--size", "8", "--json")
    assert (code, json.loads(out)["path"]) == (0, f"data/{name}")
    code, out, _ = here("check", f"data/{name}", "--json")
    report = json.loads(out)
    assert (code, report["fits"]) == (0, True)
    known = "own" if name in ("folders", "tables") else name
    assert known in {finding["data"] for finding in report["findings"]}
    assert any(finding["what"].startswith("train") for finding in report["findings"])


def findings(here, *arguments):
    code, out, _ = here("check", *arguments, "--json")
    report = json.loads(out)
    assert (code, report["fits"]) == (1, False)
    return [f for f in report["findings"] if f["level"] in ("missing", "damaged")]


def test_missing_and_damaged_images_are_counted_and_named(here, tmp_path):
    make("webvision_mini", tmp_path / "web", images=60, size=8)
    lost = sorted((tmp_path / "web" / "google").glob("*/*.jpg"))[:3]
    for path in lost:
        path.unlink()
    broken = tmp_path / "web" / "val_images_256" / "val000004.jpg"
    broken.write_bytes(broken.read_bytes()[:100])
    missing, damaged = findings(here, "web", "--name", "webvision_mini")
    assert "3 of 60 image files" in missing["what"]
    assert any(str(path) in missing["what"] for path in lost)
    assert str(broken) in damaged["what"]
    assert missing["mend"]
    assert damaged["mend"]


def test_only_all_decodes_every_image(here, tmp_path, monkeypatch):
    monkeypatch.setattr("famus_ray.data.check._SAMPLE", 1)
    make("folders", tmp_path / "own", images=20, size=8)
    for path in sorted((tmp_path / "own" / "train").glob("*/*.jpg"))[:10]:
        path.write_bytes(b"junk")
    _, out, _ = here("check", "own")
    assert "train: 1 images decoded; --all decodes every one" in out
    assert len(findings(here, "own", "--all")) == 10


def test_files_that_are_not_there_are_listed_all_at_once_with_where_to_get_them(here, tmp_path):
    make("clothing1m", tmp_path / "shop", images=20, size=8)
    for name in ("clean_label_kv.txt", "clean_val_key_list.txt"):
        (tmp_path / "shop" / name).unlink()
    found = findings(here, "shop")
    assert [f["what"].rpartition("/")[2] for f in found] == [
        "clean_label_kv.txt", "clean_val_key_list.txt",
    ]  # fmt: skip
    assert all("on request" in f["mend"] for f in found)


def test_a_damaged_cifar_file_is_named(here, tmp_path):
    make("cifar10", tmp_path / "c", images=20)
    (tmp_path / "c" / "cifar-10-batches-py" / "data_batch_3").write_bytes(b"junk")
    (found,) = findings(here, "c")
    assert "data_batch_3" in found["what"]
    assert "cs.toronto.edu" in found["mend"]


MISTAKES = {
    "check nowhere": "nowhere: no such folder",
    "check .": "no images in folders of their classes",
    "check . --name cifar": "--name cifar: no such data set; there are digits, cifar10",
    "make cifar": "cifar: no such data set",
    "make tables --to full": "full: there already, and not empty",
}


@pytest.mark.parametrize(("command", "found"), MISTAKES.items(), ids=MISTAKES)
def test_a_mistake_is_one_line_and_code_2(here, tmp_path, command, found):
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "file").touch()
    code, out, error = here(*command.split())
    assert (code, out) == (2, "")
    assert found in error
    assert len(error.splitlines()) == 1
