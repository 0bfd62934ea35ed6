"""Frames written to files: safe in spreadsheets, explained in Parquet, and as the docs say."""

from __future__ import annotations

import json
from pathlib import Path

import numpy as np
import pandas as pd
import pyarrow.parquet as pq
import pytest

import famus_ray as fr
from famus_ray.data.own.corrections import read_corrections
from famus_ray.reading.columns import FRAMES, as_markdown
from famus_ray.reading.writing import ENDINGS, write_frame
from tests.reading.test_frames import study  # noqa: F401 - a fixture

PAGE = Path("docs/frames.md")


def test_no_cell_of_a_csv_file_is_a_formula(tmp_path):
    evil = ["=1+1", "+cmd|' /C calc'!A0", "@SUM(A1)", "-2+3", "\t=1", "plain", "-0.5", None]
    frame = pd.DataFrame({"error": evil, "value": -np.arange(8.0), "=head": "x"})
    frame["param.word"] = pd.Series(evil, dtype="category")
    write_frame(frame, tmp_path / "t.csv", "trials")
    read = pd.read_csv(tmp_path / "t.csv", dtype=str, keep_default_na=False)
    safe = ["'=1+1", "'+cmd|' /C calc'!A0", "'@SUM(A1)", "'-2+3", "'\t=1", "plain", "-0.5", ""]
    assert read["error"].tolist() == read["param.word"].tolist() == safe
    assert read["value"].astype(float).tolist() == frame["value"].tolist()
    assert "'=head" in read
    assert frame["error"].tolist()[:-1] == evil[:-1]  # the frame itself stays


def test_a_file_whose_name_looks_a_formula_comes_back_from_a_list_of_labels(tmp_path):
    frame = pd.DataFrame(
        {"file": ["=a.jpg", "'b.jpg"], "label": ["cat", "=dog"], "checked": ["", ""]}
    )
    write_frame(frame, tmp_path / "t.csv", "labels")
    found = read_corrections(tmp_path / "t.csv")
    assert found.names.tolist() == ["=a.jpg", "'b.jpg"]
    assert found.rows.cells["label"].tolist() == ["cat", "=dog"]


def test_a_parquet_file_explains_every_column_and_keeps_the_types(study, tmp_path):  # noqa: F811
    trials = fr.load_trials([study])
    write_frame(trials, tmp_path / "t.parquet", "trials")
    content = json.loads(pq.read_schema(tmp_path / "t.parquet").metadata[b"famus_ray_frame"])
    assert set(content["columns"]) == set(trials)
    assert content["columns"]["seconds"]["unit"] == "s"
    assert "searched setting" in content["columns"]["param.meta.k"]["meaning"]
    pd.testing.assert_frame_equal(
        pd.read_parquet(tmp_path / "t.parquet"), trials, check_categorical=False
    )


@pytest.mark.parametrize("ending", ENDINGS)
def test_every_ending_has_all_rows(study, tmp_path, ending):  # noqa: F811
    trials = fr.load_trials(study)
    path = tmp_path / f"t{ending}"
    write_frame(trials, path, "trials")
    if ending == ".json":
        rows = json.loads(path.read_text())
        assert [row["state"] for row in rows] == trials["state"].tolist()
        assert rows[1]["param.meta.k"] is None
    elif ending in (".md", ".tex"):
        assert sum("000" in line for line in path.read_text().splitlines()) == len(trials)
    else:
        read = pd.read_csv(path) if ending == ".csv" else pd.read_parquet(path)
        assert len(read) == len(trials)


READERS = {
    "trials": fr.load_trials, "curves": fr.load_curves, "samples": fr.load_samples,
    "labels": fr.load_labels,
}  # fmt: skip


@pytest.mark.parametrize("frame", READERS)
def test_frames_have_the_columns_and_types_that_are_documented(study, frame):  # noqa: F811
    found, known = READERS[frame]([study]), FRAMES[frame]
    for name, dtype in found.dtypes.items():
        if not name.startswith("param."):
            documented = {"int32": "int32", "trial": "Int64"}.get(name, known[name][0])
            assert str(dtype).startswith(documented.split("[")[0]), name
    optional = {"file", "given_name", "predicted_name"}
    assert {name for name in known if "<" not in name} - set(found) <= optional


def test_the_docs_page_lists_the_columns_as_they_are():
    text = PAGE.read_text(encoding="utf-8")
    assert as_markdown().strip() in text
