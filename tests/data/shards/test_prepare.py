"""A data set written as shards: nothing is changed, nothing lost, and what was begun goes on."""

from __future__ import annotations

import hashlib
import os
import signal
import subprocess
import sys
import time
from dataclasses import replace
from io import BytesIO
from pathlib import Path

import numpy as np
import pandas as pd
import pytest
from PIL import Image

import famus_ray as fr
from famus_ray.config import resolve
from famus_ray.data.check import check_data
from famus_ray.data.images import Source
from famus_ray.data.made_up import make
from famus_ray.data.readers import read_source
from famus_ray.data.shards.prepare import prepare
from famus_ray.data.shards.read import read_shards
from famus_ray.errors import UserError

PROGRAM = str(Path(sys.executable).with_name("famus-ray"))


@pytest.fixture(scope="module")
def images(tmp_path_factory) -> Path:
    root = tmp_path_factory.mktemp("made") / "images"
    make("folders", root, images=40, size=20)
    return root


def source_of(root: Path, name: str = "folders", **settings) -> Source:
    values = {"data": {"name": name, "root": str(root), "image_size": 16, **settings}}
    return read_source(resolve(None, (), values).config.data)


def digests(folder: Path) -> dict[str, str]:
    return {
        path.name: hashlib.sha256(path.read_bytes()).hexdigest()
        for path in sorted(folder.glob("*.parquet"))
    }


@pytest.fixture(scope="module")
def shards(images, tmp_path_factory) -> Path:
    to = tmp_path_factory.mktemp("shards") / "whole"
    prepare(source_of(images), "folders", to, per_shard=12)
    return to


def test_files_labels_and_names_are_those_of_the_source(images, shards):
    source, found = source_of(images), read_shards(str(shards))
    assert [*digests(shards)][-1] == "train-00003-of-00004.parquet"
    for before, after in ((source.train, found.train), (source.test, found.test)):
        assert after.labels.tolist() == before.labels.tolist()
        assert after.truth.tolist() == before.truth.tolist()
        assert after.class_names == before.class_names
        assert after.pixels.names.to_pylist() == before.pixels.names.to_pylist()
        chosen = after.pixels[np.array([3, 1])]  # as a batch takes them
        assert chosen.encoded(0) == before.pixels.path(3).read_bytes()
        assert chosen.encoded(1) == before.pixels.path(1).read_bytes()


@pytest.mark.parametrize("storage", ["memory", "disk"])
def test_a_run_on_them_is_the_run_on_the_files(images, shards, tmp_path, storage):
    def curves(name: str, root: Path) -> pd.DataFrame:
        run = fr.train(
            None,
            data={"name": name, "root": str(root), "image_size": 16, "storage": storage,
                  "meta_per_class": 0},
            noise={"kind": "none"}, method="ce", schedule={"epochs": 1},
            model={"name": "preact_resnet8"},
            run={"root": str(tmp_path), "name": name, "batch_size": 8, "threads": 1}, quiet=True,
        )  # fmt: skip
        found = fr.load_curves(run.path)
        same = found[~found["metric"].str.startswith("time/")].reset_index(drop=True)
        return same.drop(columns="trial")

    pd.testing.assert_frame_equal(curves("shards", shards), curves("folders", images))


def test_arrays_are_kept_to_the_last_pixel(tmp_path):
    source = read_source(resolve("digits").config.data)
    prepare(source, "digits", tmp_path / "to", per_shard=1000)
    found = read_shards(str(tmp_path / "to"))
    assert found.train.pixels.names[1].as_py() == "00000001.png"
    for place in (0, 1000, 1437):
        with Image.open(BytesIO(found.train.pixels.encoded(place))) as image:
            assert (np.asarray(image) == source.train.pixels[place, 0]).all()


def test_larger_images_are_scaled_and_smaller_ones_kept(images, tmp_path):
    before, after = source_of(images).train, tmp_path / "to"
    names = before.pixels.names.to_pylist()
    with Image.open(images / names[0]) as first:
        size = min(first.size)
    prepare(source_of(images), "folders", after, shorter_side=size - 5)
    found = read_shards(str(after)).train.pixels
    with Image.open(BytesIO(found.encoded(0))) as image:
        assert (image.format, min(image.size)) == ("JPEG", size - 5)
    prepare(source_of(images), "folders", tmp_path / "kept", shorter_side=size)
    kept = read_shards(str(tmp_path / "kept")).train.pixels
    assert kept.encoded(0) == (images / names[0]).read_bytes()


def test_damaged_images_are_counted_named_and_left_out(images, tmp_path):
    source = source_of(images)
    damaged = source.train.pixels.names.to_pylist()[5]
    whole = (images / damaged).read_bytes()
    (images / damaged).write_bytes(whole[: len(whole) // 2])
    try:
        manifest = prepare(source, "folders", tmp_path / "to", per_shard=12)
    finally:
        (images / damaged).write_bytes(whole)
    assert (manifest.splits["train"].skipped, manifest.splits["test"].skipped) == (1, 0)
    listed = pd.read_csv(tmp_path / "to" / "skipped.csv")
    assert listed[["split", "path"]].to_numpy().tolist() == [["train", damaged]]
    found = read_shards(str(tmp_path / "to")).train
    assert damaged not in found.pixels.names.to_pylist()
    assert found.places.tolist() == [0, 1, 2, 3, 4, *range(6, 40)]  # ids stay those of the source
    told = [finding.what for finding in check_data("shards", tmp_path / "to")]
    assert any("1 damaged images are not in them" in line for line in told)


def test_what_a_killed_command_began_goes_on(images, shards, tmp_path):
    to = tmp_path / "to"
    line = [PROGRAM, "data", "prepare", str(images), str(to), "--per-shard", "12", "--workers"]
    process = subprocess.Popen([*line, "1"], stderr=subprocess.DEVNULL, start_new_session=True)
    while not [*to.glob(".prepare/*.parquet.json")]:
        assert process.poll() is None
        time.sleep(0.001)
    os.killpg(process.pid, signal.SIGKILL)
    process.wait()
    done = {path.name: path.stat().st_mtime_ns for path in to.glob("*.parquet")}
    again = subprocess.run([*line, "2"], capture_output=True, text=True, check=False)
    assert again.returncode == 0, again.stderr
    assert "train: 40 images in 4 files" in again.stdout
    first = min(done)
    assert (to / first).stat().st_mtime_ns == done[first]  # it was not written again
    assert digests(to) == digests(shards)
    assert {path.name for path in to.iterdir()} == {*digests(shards), "shards.json"}


def test_another_folder_or_other_settings_are_refused(images, shards, tmp_path):
    source = source_of(images)
    with pytest.raises(UserError, match="holds complete shards already"):
        prepare(source, "folders", shards)
    (tmp_path / "full").mkdir()
    (tmp_path / "full" / "mine.txt").write_text("mine")
    with pytest.raises(UserError, match="there already, and not empty"):
        prepare(source, "folders", tmp_path / "full")
    none = np.zeros(0, np.int64)
    cut = replace(source, test=replace(source.test, pixels=source.test.pixels[none], labels=none))
    with pytest.raises(UserError, match=r"no image of test can be read"):
        prepare(cut, "folders", tmp_path / "begun", per_shard=12)
    with pytest.raises(UserError, match=r"begun with other images or settings \(per_shard, sha256"):
        prepare(source, "folders", tmp_path / "begun", per_shard=13)


def test_a_store_is_no_folder_to_write_shards_into(images, tmp_path):
    done = subprocess.run(
        [PROGRAM, "data", "prepare", str(images), "s3://bucket/shards"],
        cwd=tmp_path, capture_output=True, text=True, check=False,
    )  # fmt: skip
    assert done.returncode == 2
    assert "s3://bucket/shards: is no folder; write the shards into one" in done.stderr
    assert not [*tmp_path.iterdir()]


@pytest.mark.parametrize(
    ("harm", "message"),
    [
        (lambda path: path.unlink(), "is missing; copy it again"),
        (lambda path: path.write_bytes(path.read_bytes()[:-9]), "bytes, and shards.json says"),
        (lambda path: path.write_bytes(b"x" * path.stat().st_size), "is no shard, or damaged"),
    ],
)
def test_a_shard_that_is_not_whole_is_named(shards, tmp_path, harm, message):
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", shards, copy], check=True)
    harm(copy / "train-00001-of-00004.parquet")
    with pytest.raises(UserError, match=f"train-00001-of-00004.parquet: .*{message}"):
        read_shards(str(copy))


def test_a_changed_byte_is_found_by_its_checksum(shards, tmp_path):
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", shards, copy], check=True)
    path = copy / "test-00000-of-00002.parquet"
    content = bytearray(path.read_bytes())
    content[100] ^= 1  # in the first image
    path.write_bytes(content)
    named = f"{path}: its checksum is not the one of the manifest"
    assert named in [found.what for found in check_data("shards", copy, every=True)]
    assert named not in [found.what for found in check_data("shards", copy)]


def test_a_folder_without_its_manifest_is_not_taken_for_whole(shards, tmp_path):
    copy = tmp_path / "copy"
    subprocess.run(["cp", "-r", shards, copy], check=True)
    (copy / "shards.json").write_text("{")
    with pytest.raises(UserError, match=r"shards.json: damaged"):
        read_shards(str(copy))
    (copy / "shards.json").unlink()
    with pytest.raises(UserError, match=r"they are not complete"):
        read_shards(str(copy))
