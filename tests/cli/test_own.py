"""One's own images from the command line: trained, listed, corrected by hand, trained again."""

import csv
import json
import sys

import numpy as np
import pytest
from PIL import Image

from famus_ray.cli import main

CLASSES = ("bird", "cat", "dog")


@pytest.fixture
def here(tmp_path, monkeypatch, capsys):
    """The program in this process: exit code, stdout, stderr."""
    monkeypatch.chdir(tmp_path)

    def run(*arguments):
        monkeypatch.setattr(sys, "argv", ["famus-ray", *arguments])
        try:
            main()
        except SystemExit as ended:
            return ended.code or 0, *capsys.readouterr()
        return 0, *capsys.readouterr()

    return run


@pytest.fixture
def photos(tmp_path):
    """90 images of three shades; the first five of each class are in the folder of the next."""
    rng = np.random.default_rng(0)
    for place, name in enumerate(CLASSES):
        for i in range(30):
            folder = CLASSES[(place + 1) % 3] if i < 5 else name
            pixels = rng.normal(40 + 80 * place, 10, (8, 8)).clip(0, 255).astype(np.uint8)
            (tmp_path / "photos" / folder).mkdir(parents=True, exist_ok=True)
            Image.fromarray(pixels).save(tmp_path / "photos" / folder / f"{name}{i:02}.png")
    return tmp_path / "photos"


def test_photographs_are_trained_listed_corrected_and_trained_again(here, photos, tmp_path):
    code, out, err = here("train", "./photos", "--name", "first")
    assert code == 0
    for told in ("class folders, 90 images", "data.channels=1: images are grey", "method.name=ce"):
        assert told in err
    assert "famus-ray labels runs/first" in out + err
    code, _, _ = here("labels", "first", "--to", "list.csv")
    with (tmp_path / "list.csv").open() as file:
        rows = list(csv.DictReader(file))
    assert code == 0
    assert [*rows[0]][:4] == ["file", "label", "suggestion", "checked"]
    assert {row["label"] for row in rows} == set(CLASSES)
    assert all(row["file"].startswith(row["label"] + "/") for row in rows)
    right = [row["file"].split("/")[1][:-6] for row in rows]
    wrong_first = [r != row["label"] for r, row in zip(right, rows, strict=True)]
    assert sum(wrong_first[:8]) >= 6  # of 8 to 13 wrong ones in the list
    with (tmp_path / "corrected.csv").open("w") as file:
        writer = csv.writer(file)
        writer.writerow(["file", "label", "checked"])
        for label, row in zip(right[:40], rows, strict=False):
            writer.writerow([row["file"], label, "x"])
    code, _, err = here("train", "photos", "labels=corrected.csv", "--name", "second")
    assert code == 0
    wrong = sum(wrong_first[:40])
    assert f"corrected.csv: 40 labels are checked, {wrong} of them corrected" in err
    assert "method.name=famus: 40 checked labels serve as the clean meta set" in err
    manifest = json.loads((tmp_path / "runs/second/manifest.json").read_text())["data"]
    assert manifest["class_names"] == list(CLASSES)
    assert manifest["meta"] > 20


def test_a_folder_is_checked_and_the_next_command_told(here, photos):
    (photos / "cat" / "broken.png").write_bytes(b"\x89PNG")
    code, out, _ = here("data", "check", "photos")
    assert code == 1
    assert "broken.png" in out
    (photos / "cat" / "broken.png").unlink()
    code, out, _ = here("data", "check", "photos")
    assert code == 0
    assert "images: 8x8, grey" in out
    assert "next: famus-ray train photos" in out


MISTAKES = {
    "train photos noise=symmetric --dry-run": "noise.kind = symmetric: changes no label without",
    "train photos labels=none.csv": "labels = /",
    "train photos data.test_fraction=0": "data.test_fraction = 0",
    "train nowhere/": "unknown preset",
    "train own": "no folder or table of images",
}


@pytest.mark.parametrize(("command", "message"), MISTAKES.items(), ids=MISTAKES)
def test_mistakes_are_one_line_and_leave_nothing(here, photos, tmp_path, command, message):
    code, _, err = here(*command.split())
    assert code == 2
    assert message in err.splitlines()[-1]
    assert "Traceback" not in err
    assert not (tmp_path / "runs").exists()
