"""A page of the most suspicious labels with pictures: one HTML file that works offline."""

from __future__ import annotations

import base64
from collections.abc import Mapping, Sequence
from pathlib import Path

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape

from famus_ray.files import write_text

__all__ = ["write_labels_page"]


def write_labels_page(
    path: Path,
    title: str,
    ranked: pd.DataFrame,
    top: int,
    pictures: Mapping[int, bytes],
    notes: Sequence[str] = (),
    warning: str = "",
) -> None:
    """Writes the first `top` examples of a ranking with their pictures as an HTML file.

    Args:
        path: the file.
        title: of the page.
        ranked: from `labels.rank_labels`.
        top: number of examples.
        pictures: content of PNG files by example id; examples without one have no picture.
        notes: sentences on missing examples or pictures.
        warning: why the ranking should not be trusted; may be empty.
    """
    rows = [
        {**row, "picture": base64.b64encode(pictures.get(row["id"], b"")).decode()}
        for row in ranked.head(top).to_dict("records")
    ]
    environment = Environment(
        loader=PackageLoader("famus_ray.reading", "templates"),
        autoescape=select_autoescape(["html.j2"]),
    )
    page = environment.get_template("labels.html.j2").render(
        title=title,
        rows=rows,
        count=len(ranked),
        issues=int(ranked["is_label_issue"].sum()),
        notes=[note[0].upper() + note[1:] for note in notes],
        warning=warning,
    )
    write_text(path, page)
