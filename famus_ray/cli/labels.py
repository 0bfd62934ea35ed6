"""The command `labels`, which ranks labels by the probability that they are wrong."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from famus_ray.cli.options import AsJson, Name, check_target
from famus_ray.errors import UserError

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["labels"]


def labels(
    name: Name,
    to: Annotated[Path | None, typer.Option(help="A .csv, .parquet or .html file.")] = None,
    top: Annotated[
        int | None,
        typer.Option(
            min=1, help="How many; if left out 20 on screen, 200 in HTML, all in a table or JSON."
        ),
    ] = None,
    compare: Annotated[
        bool,
        typer.Option(
            "--compare",
            help="Measure against the known corruption, next to cleanlab; trains 5 networks.",
        ),
    ] = False,
    as_json: AsJson = False,
) -> None:
    """Rank a run's training examples by how probably their label is wrong, with a suggestion."""
    if compare and to is not None:
        raise UserError(f"--compare: measures the ranking and writes no file; leave out --to {to}")
    if to is not None:
        check_target(to, ".csv", ".parquet", ".html")
    from famus_ray.cli.output import say
    from famus_ray.reading.folders import load_samples
    from famus_ray.reading.labels import estimate_wrong, load_labels, what_is_missing, why_weak
    from famus_ray.records.folders import find_folder, is_study

    folder = find_folder(name)
    if is_study(folder):
        raise UserError(f"{folder}: a study; name one of its runs, such as {folder}/trials/0000")
    ranked, warning, notes = load_labels(name), why_weak(name), what_is_missing(name)
    for line in [warning, *notes] if warning else notes:
        say(f"famus-ray: {line}")
    if compare:
        _compare(find_folder(name), ranked, as_json)
    elif to is not None and to.suffix == ".html":
        _write_page(find_folder(name), ranked, to, top or 200, notes, warning)
        print(json.dumps({"labels": str(to)}) if as_json else to)
    elif to is not None:
        from famus_ray.reading.label_names import to_correct
        from famus_ray.reading.writing import write_frame

        write_frame(to_correct(ranked.head(top or len(ranked))), to, "labels")
        print(json.dumps({"labels": str(to)}) if as_json else to)
    elif as_json:
        print(ranked.head(top or len(ranked)).to_json(orient="records"))
    else:
        from famus_ray.cli.output import print_frame, quoted

        shown = ranked.head(top or 20).round({"label_score": 4})
        print_frame(shown.drop(columns=_in_names(shown)))
        issues, found = int(ranked["is_label_issue"].sum()), estimate_wrong(load_samples(name))
        print(
            f"{issues} of {len(ranked)} labels are probably wrong (is_label_issue); wrong in all: "
            f"about {found.wrong}, from {found.low} to {found.high}\n"
            f"next: famus-ray labels {quoted(name)} --to labels.html"
        )


def _in_names(ranked: pd.DataFrame) -> list[str]:
    """The columns of numbers that a list with names shows without."""
    return ["given_label", "predicted_label", "judgements"] if "given_name" in ranked else []


def _write_page(
    run: Path, ranked: pd.DataFrame, to: Path, top: int, notes: list[str], warning: str
) -> None:
    from famus_ray.reading.labels_page import write_labels_page

    pictures = {}
    try:
        from famus_ray.cli.thumbnails import thumbnails

        pictures = thumbnails(run, ranked["id"].head(top).tolist())
    except (ImportError, ValueError) as error:  # no torch here, or no data
        notes = [*notes, f"without pictures: {error}"]
    write_labels_page(to, run.name, ranked, top, pictures, notes, warning)


def _compare(run: Path, ranked: pd.DataFrame, as_json: bool) -> None:
    from famus_ray.cli.output import print_frame, say
    from famus_ray.config.resolve import resolve
    from famus_ray.reading.labels import label_quality

    config = resolve(run / "config.yaml").config
    rows = [{"ranking": f"famus_ray ({config.method.name})", **label_quality(ranked)}]
    from famus_ray.training.out_of_sample import cleanlab_ranking

    def on_fold(fold: int) -> None:
        say(f"cleanlab: training plain network {fold + 1} of 5")

    rows.append({"ranking": "cleanlab", **label_quality(cleanlab_ranking(config, 5, on_fold))})
    if as_json:
        print(json.dumps(rows))
    else:
        import pandas as pd

        print_frame(pd.DataFrame(rows))
