from __future__ import annotations

from itertools import pairwise
from pathlib import Path

import pytest

from famus_ray.cluster.yaml_lines import load, read
from famus_ray.errors import UserError

TEXT = """\
a: 1
shared: &shared
  image: x
list:
  - name: first
  - <<: *shared
    b.c/d: [1,
      2]
---
other: true
"""


def written(folder: Path, text: str) -> Path:
    path = folder / "file.yaml"
    path.write_text(text)
    return path


def test_every_key_and_item_has_its_line(tmp_path: Path):
    first, second = read(written(tmp_path, TEXT)).documents
    assert first.line_of("a") == 1
    assert first.line_of("list.0.name") == 5
    assert first.line_of("list.1.image") == 3  # where the name is that `<<` puts here
    assert first.line_of(("list", 1, "b.c/d", 1)) == 8
    assert second.line_of("other") == 10


def test_what_is_not_there_has_the_line_around_it(tmp_path: Path):
    first = read(written(tmp_path, TEXT)).documents[0]
    assert first.line_of("list.1.nothing.at.all") == 6
    assert first.line_of("nothing") == 1
    assert first.at("list.5.name", "default") == "default"


def test_all_duplicate_keys_are_problems(tmp_path: Path):
    found = read(written(tmp_path, "a: 1\nb:\n  c: 1\n  c: 2\na: 3\n")).problems
    assert [(problem.line, problem.rule) for problem in found] == [
        (4, "duplicate-key"),
        (5, "duplicate-key"),
    ]


@pytest.mark.parametrize(
    ("text", "line"),
    [
        ("a: 1\nb: [1\nc: 2\n", 3),
        ("a: 1\nb: !!python/object/apply:os.system [ls]\n", 2),
        ("a: 1\nb: &x\n  - *x\n", 2),
        ("a: *nobody\n", 1),
    ],
)
def test_what_is_no_plain_yaml_is_a_problem(tmp_path: Path, text: str, line: int):
    (problem,) = read(written(tmp_path, text)).problems
    assert (problem.line, problem.rule) == (line, "yaml")
    assert str(problem).startswith(f"{problem.file}:{line}: ")


def test_aliases_that_grow_without_end_are_refused(tmp_path: Path):
    names = "abcdefgh"
    lines = ["a: &a [1, 1, 1, 1, 1, 1, 1, 1, 1, 1]"]
    lines += [f"{n}: &{n} [{', '.join(['*' + o] * 10)}]" for o, n in pairwise(names)]
    (problem,) = read(written(tmp_path, "\n".join(lines))).problems
    assert "too large" in problem.what


def test_a_single_document_is_loaded_or_refused(tmp_path: Path):
    assert load(written(tmp_path, "a: 1")).content == {"a": 1}
    with pytest.raises(UserError, match="2 documents"):
        load(written(tmp_path, TEXT))
    with pytest.raises(UserError, match=r"file\.yaml:2: a: a second time"):
        load(written(tmp_path, "a: 1\na: 2\n"))
