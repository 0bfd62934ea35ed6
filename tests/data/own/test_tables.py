"""Tables of paths as people write them: read as meant, or refused in one line."""

from __future__ import annotations

import gzip
from contextlib import suppress
from pathlib import Path

import pandas as pd
import pytest
from hypothesis import HealthCheck, given, settings
from hypothesis import strategies as st

from famus_ray.data.own.spelling import joined
from famus_ray.data.own.tables import list_tables
from famus_ray.errors import UserError

COMPOSED, DECOMPOSED = "caf\u00e9", "cafe\u0301"


def table(text: str | bytes, folder: Path, name: str = "train.csv") -> Path:
    content = text if isinstance(text, bytes) else text.encode()
    (folder / name).write_bytes(content)
    return folder


def read(text: str | bytes, folder: Path, name: str = "train.csv"):
    """Names, labels and the text of all findings."""
    data = list_tables(table(text, folder, name))
    train = data.splits["train"]
    assert train.origin == str(folder / name)
    told = "\n".join(f"{finding.what} {finding.mend}" for finding in data.findings)
    return train.files.names.to_pylist(), list(train.labels), told


ROWS = ["a.png", "b/c.png"], ["cat", "dog"]

THE_SAME = {
    "commas": ("train.csv", "path,label\na.png,cat\nb/c.png,dog\n"),
    "no line end": ("train.csv", "path,label\na.png,cat\nb/c.png,dog"),
    "columns turned": ("train.csv", "label,path\ncat,a.png\ndog,b/c.png\n"),
    "semicolons": ("train.csv", "path;label\na.png;cat\nb/c.png;dog\n"),
    "tabs": ("train.tsv", "path\tlabel\na.png\tcat\nb/c.png\tdog\n"),
    "tabs in csv": ("train.csv", "path\tlabel\na.png\tcat\nb/c.png\tdog\n"),
    "commas in tsv": ("train.tsv", "path,label\na.png,cat\nb/c.png,dog\n"),
    "pipes": ("train.csv", "path|label\na.png|cat\nb/c.png|dog\n"),
    "blanks after commas": ("train.csv", 'path, label\na.png, cat\nb/c.png, "dog"\n'),
    "quotes": ("train.csv", '"path","label"\n"a.png","cat"\n"b/c.png","dog"\n'),
    "spreadsheet's line": ("train.csv", "sep=;\npath;label\na.png;cat\nb/c.png;dog\n"),
    "byte-order mark": ("train.csv", b"\xef\xbb\xbfpath,label\na.png,cat\nb/c.png,dog\n"),
    "UTF-16": ("train.csv", "path\tlabel\na.png\tcat\nb/c.png\tdog\n".encode("utf-16")),
    "CRLF": ("train.csv", "path,label\r\na.png,cat\r\nb/c.png,dog\r\n"),
    "old Mac": ("train.csv", "path,label\ra.png,cat\rb/c.png,dog\r"),
    "blank lines": ("train.csv", "\npath,label\n\na.png,cat\n\nb/c.png,dog\n\n"),
    "gzip": ("train.csv.gz", gzip.compress(b"path,label\na.png,cat\nb/c.png,dog\n")),
    "gzip by name only": ("train.csv.gz", "path,label\na.png,cat\nb/c.png,dog\n"),
    "upper case name": ("Train.CSV", "path,label\na.png,cat\nb/c.png,dog\n"),
    "index of pandas": ("train.csv", ",path,label\n0,a.png,cat\n1,b/c.png,dog\n"),
    "empty cells behind": ("train.csv", "path,label\na.png,cat,\nb/c.png,dog,,\n"),
    "in the folder data": ("data/train.csv", "path,label\na.png,cat\nb/c.png,dog\n"),
}


@pytest.mark.parametrize("case", THE_SAME)
def test_the_same_table_in_other_words(case: str, tmp_path: Path):
    name, text = THE_SAME[case]
    (tmp_path / "data").mkdir()
    names, labels, told = read(text, tmp_path, name)
    assert (names, labels) == ROWS
    assert told == ""


HEADERS = {
    "Path,Label": "reads column 'Path' as path, column 'Label' as label",
    "filename,class": "column 'filename' as path, column 'class' as label",
    "image,label": "reads column 'image' as path",
    "file,target": "column 'file' as path, column 'target' as label",
    "Image Path,Class-Name": "column 'Image Path' as path, column 'Class-Name' as label",
}


@pytest.mark.parametrize("header", HEADERS)
def test_other_names_of_columns_are_told(header: str, tmp_path: Path):
    names, labels, told = read(f"{header}\na.png,cat\nb/c.png,dog\n", tmp_path)
    assert (names, labels) == ROWS
    assert HEADERS[header] in told


def test_without_a_header(tmp_path: Path):
    names, labels, told = read("a.png,cat\nb/c.png,dog\n", tmp_path)
    assert (names, labels) == ROWS
    assert "has no header" in told


READ = {  # text: names, labels, words of the findings
    "other columns": (
        "path,label,name,filename\na,x,n,f\n", ["a"], ["x"],
        "does not read the other columns 'name', 'filename'",
    ),
    "words": (
        "path,label\n1,NA\n2,null\n3,None\n4,nan\n5,true\n", list("12345"),
        ["NA", "null", "None", "nan", "true"], "",
    ),
    "leading zeros": ("path,label\na,001\nb,010\n", ["a", "b"], ["001", "010"], ""),
    "large ids": ("path,label\na,12345678\nb,1\n", ["a", "b"], ["12345678", "1"], ""),
    "whole with points": ("path,label\na,3.0\nb,1.0\n", ["a", "b"], ["3", "1"], "such as '3.0'"),
    "fractions": ("path,label\na,1.5\nb,1.0\n", ["a", "b"], ["1.5", "1.0"], ""),
    "minus one": ("path,label\na,-1\nb,1\n", ["a", "b"], ["-1", "1"], "-1 in 1 rows"),
    "a comma in a name": ('path,label\na,"tench, Tinca"\n', ["a"], ["tench, Tinca"], ""),
    "a comma in a path": ("path;label\na,b.png;cat\n", ["a,b.png"], ["cat"], ""),
    "a comma, no header": ("a,b.png;cat\nc,d.png;dog\n", ["a,b.png", "c,d.png"], ["cat", "dog"],
                           "no header"),
    "backslashes": ("path,label\nx\\a.png,cat\n", ["x/a.png"], ["cat"], "backslashes of 1 paths"),
    "a drive": ("path,label\nC:/a.png,cat\n", ["C:/a.png"], ["cat"], "drive of another machine"),
    "address": ("path,label\nfile:///x/a%20b.png,cat\n", ["/x/a b.png"], ["cat"], ""),
    "address of localhost": ("path,label\nfile://localhost/a,cat\n", ["/a"], ["cat"], ""),
    "home": ("path,label\n~/a.png,cat\n", [str(Path.home() / "a.png")], ["cat"], ""),
    "no home": ("path,label\n~$a.png,cat\n", ["~$a.png"], ["cat"], ""),
    "dot": ("path,label\n./a.png,cat\n", ["a.png"], ["cat"], ""),
    "in full": ("path,label\n/x/a.png,cat\n", ["/x/a.png"], ["cat"], ""),
    "blank behind a path": ("path,label\na.png ,cat\n", ["a.png"], ["cat"], "blanks around 1"),
    "blank behind a label": ("path,label\na,cat \n", ["a"], ["cat "], "'cat ' (1)"),
    "case": (
        "path,label\na,Cat\nb,cat\nc,cat\n", list("abc"), ["Cat", "cat", "cat"],
        "'Cat' (1) and 'cat' (2) data.join_labels=true",
    ),
    "Unicode forms": (
        f"path,label\na,{COMPOSED}\nb,{DECOMPOSED}\n", ["a", "b"], [COMPOSED, DECOMPOSED],
        "Unicode form",
    ),
    "twice": (
        "path,label\na,x\nb,y\n./a,x\n", ["a", "b", "a"], ["x", "y", "x"],
        "train.csv: 1 images are listed more than once with the same label, such as 'a' "
        "(row 2 'x', row 4 'x')",
    ),
    "two labels": (
        "path,label\na,x\nb,y\nb/../a,z\n", ["a", "b", "b/../a"], ["x", "y", "z"],
        "1 images are listed more than once with different labels, such as 'a' (row 2 'x', row 4",
    ),
}  # fmt: skip


@pytest.mark.parametrize("case", READ)
def test_cells(case: str, tmp_path: Path):
    text, names, labels, words = READ[case]
    found_names, found_labels, told = read(text, tmp_path)
    assert found_names == names
    assert found_labels == labels
    assert words in told
    assert bool(words) == bool(told)
    assert told.count("\n") == 0  # one finding


REFUSED = {
    "empty": ("", "train.csv: is empty"),
    "blank": ("\n \n", "train.csv: is empty"),
    "header only": ("path,label\n", "train.csv: has a header and no rows"),
    "more cells": ("path,label\na,x\n\nb,y,z\n", "row 4: has 3 cells, the first row 2"),
    "no label": ("path,lable\na,b\n", "no column label; columns found: 'path', 'lable', is it"),
    "unknown names": ("where;what\na.png;x\n", "no column path; columns found: 'where', 'what'"),
    "no delimiter": ("path label\na.png x\n", "no column path; columns found: 'path label'"),
    "two labels": ("path,class,target\na,x,y\n", "'class', 'target' may each be the label"),
    "a column twice": ("path,label,label\na,x,y\n", "'label', 'label' may each be the label"),
    "three columns, no header": ("a.png,cat,7\n", "has no header, and 3 columns"),
    "no label in a row": (
        "path,label\na,x\nb,\nc\n", "row 3: no label (path 'b'), the first of 2 such rows"
    ),
    "a label of blanks": ('path,label\na,"  "\n', "row 2: no label (path 'a')"),
    "no path in a row": ("path,label\n,x\n", "row 2: no path (label 'x')"),
    "both empty": ("path,label\na,x\n,\n", "row 3: no path; "),
    "several by pipe": ("path,label\na,x\nb,cat|dog\n", "row 3: label 'cat|dog' holds several"),
    "several, all rows": ("path,label\na,cat|dog\nb,x|y\n", "several labels (2 such rows)"),
    "several, no header": ("a.png,cat|dog\nb.png,x|y\n", "row 1: label 'cat|dog' holds several"),
    "several by semicolon": ("path,label\na,cat;dog\n", "row 2: label 'cat;dog' holds several"),
    "list": ('path,label\na,"[\'x\', \'y\']"\n', "holds several labels"),
    "several true labels": ("path,label,clean_label\na,x,x|y\n", "clean_label 'x|y' holds"),
    "network": ("path,label\nhttps://x/a.png,cat\n", "row 2: path 'https://x/a.png' is an address"),
    "another machine": ("path,label\nfile://nas/a.png,cat\n", "is on the machine 'nas'"),
    "no file": ("path,label\n./,cat\n", "row 2: path './' names no file"),
    "open quote": ('path,label\na,x\nb,"y\nc,z\n', "row 3: a quote is never closed"),
    "Latin": ("path,label\na,caf\u00e9\n".encode("latin1"), "row 2: is not UTF-8 text (byte 0xe9)"),
    "zero byte": (b"path,label\na,x\0\n", "row 2: holds a zero byte"),
    "huge cell": ("path,label\na," + "x" * 200_000, "row 2: field larger"),
    "cut gzip": (gzip.compress(b"path,label\na,x\n")[:-9], "cannot be read"),
}  # fmt: skip


@pytest.mark.parametrize("case", REFUSED)
def test_refusals_name_the_file_and_the_row(case: str, tmp_path: Path):
    text, words = REFUSED[case]
    with pytest.raises(UserError) as refusal:
        list_tables(table(text, tmp_path))
    message = str(refusal.value)
    assert message.startswith(str(tmp_path / "train.csv"))
    assert words in message
    assert "\n" not in message


@pytest.mark.parametrize(
    ("names", "splits"),
    [
        (["train"], {"train"}),
        (["train", "test", "validation", "meta"], {"train", "test", "validation", "meta"}),
        (["train", "test", "val"], {"train", "test", "validation"}),
        (["train", "val"], {"train", "test"}),
        (["train", "validation"], {"train", "validation"}),
        (["train", "val", "validation"], {"train", "test", "validation"}),
    ],
)
def test_splits(names: list[str], splits: set[str], tmp_path: Path):
    for name in names:
        table(f"path,label\n{name}.png,cat\n", tmp_path, f"{name}.csv")
    (tmp_path / "train").mkdir()  # a folder of images beside its table
    assert set(list_tables(tmp_path).splits) == splits


def test_one_table_is_train(tmp_path: Path):
    data = list_tables(table("path,label\na,x\n", tmp_path, "labels.csv") / "labels.csv")
    assert list(data.splits) == ["train"]
    assert data.splits["train"].files.path(0) == tmp_path / "a"


@pytest.mark.parametrize(
    ("files", "words"),
    [
        ([], "holds no train.csv"),
        (["labels.csv"], "give the table itself, such as"),
        (["train.csv", "train.tsv"], "may each be the table of train; keep one"),
        (["train.csv", "test.csv", "val.csv", "validation.csv"], "the table of validation"),
    ],
)
def test_tables_that_are_not_clear(files: list[str], words: str, tmp_path: Path):
    for name in files:
        table("path,label\na,x\n", tmp_path, name)
    with pytest.raises(UserError, match=words):
        list_tables(tmp_path)


@pytest.mark.parametrize(("name", "words"), [("no", "no such file"), ("a.txt", "is no table")])
def test_what_is_no_table(name: str, words: str, tmp_path: Path):
    with pytest.raises(UserError, match=words):
        list_tables(table("", tmp_path, "a.txt") / name)


def test_a_path_in_train_and_test_and_a_note_told_once(tmp_path: Path):
    table("path,label,x\na,x,\nb,x,\n", tmp_path)
    table(f"path,label,x\nc,x,\n{tmp_path}/b,x,\n", tmp_path, "test.csv")
    once, both = [finding.what for finding in list_tables(tmp_path).findings]
    assert once.endswith("train.csv, test.csv: does not read the other columns 'x'")
    assert "train.csv: row 3: path 'b' is in test.csv, too: 1 images are in both" in both


@pytest.mark.parametrize(
    ("labels", "clean", "known"),
    [("12", ["1", "-1"], ["1", None]), ("12", ["2.0", ""], ["2", None]),
     ("xy", ["", "x"], [None, "x"])],
)  # fmt: skip
def test_true_labels(labels: str, clean: list[str], known: list[str | None], tmp_path: Path):
    rows = "".join(f"{n},{y},{c}\n" for n, (y, c) in enumerate(zip(labels, clean, strict=True)))
    train = list_tables(table(f"path,label,clean_label\n{rows}", tmp_path)).splits["train"]
    assert list(train.clean) == known
    assert list(train.labels) == list(labels)


def test_a_version_is_no_whole_number_where_train_has_fractions(tmp_path: Path):
    table("path,label\na,1.5\nb,1.0\n", tmp_path)
    table("path,label\nc,1.0\n", tmp_path, "test.csv")
    assert list(list_tables(tmp_path).splits["test"].labels) == ["1.0"]


def test_joined_takes_the_most_common_spelling():
    labels = pd.Series(
        ["Cat", "cat ", "cat", "cat", "dog", DECOMPOSED, COMPOSED.upper(), "STRASSE"]
    )
    expected = ["cat", "cat", "cat", "cat", "dog", COMPOSED.upper(), COMPOSED.upper(), "STRASSE"]
    assert list(joined(labels)) == expected
    assert list(joined(pd.Series([DECOMPOSED, f" {DECOMPOSED}"]))) == [COMPOSED] * 2
    assert list(joined(pd.Series(["stra\u00dfe", "STRASSE", "stra\u00dfe"]))) == ["stra\u00dfe"] * 3


SIGNS = [*',;\t|"\n\r a\0~/\\:.=[]1-\u00e9', "path", "label", "a.png", "file://"]
TEXTS = st.lists(st.sampled_from(SIGNS), max_size=40).map(lambda signs: "".join(signs).encode())


@settings(max_examples=400, deadline=None, suppress_health_check=list(HealthCheck))
@given(st.one_of(st.binary(max_size=200), TEXTS, TEXTS.map(b"path,label\n".__add__)))
def test_any_bytes_are_a_table_or_a_refusal(tmp_path: Path, content: bytes):
    with suppress(UserError):
        read(content, tmp_path)
