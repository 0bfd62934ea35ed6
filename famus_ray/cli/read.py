"""Commands that read runs and studies: `trials`, `compare`, `show` and `report`."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from famus_ray.cli.options import AsJson, Name, check_target, check_writable

if TYPE_CHECKING:
    import pandas as pd

__all__ = ["compare", "report", "show", "trials"]

_To = Annotated[
    Path | None, typer.Option("--to", help="A .csv, .parquet, .json, .md or .tex file.")
]
_ENDINGS = (".csv", ".parquet", ".json", ".md", ".tex")


def trials(
    name: Name,
    where: Annotated[
        str | None,
        typer.Option(help="Rows to show, such as \"state == 'completed' and accuracy > 0.9\"."),
    ] = None,
    sort: Annotated[
        str | None, typer.Option(help="Column to sort by; -COLUMN for the highest first.")
    ] = None,
    to: _To = None,
    test: Annotated[
        bool, typer.Option("--test", help="With the test accuracy, mean and deviation over seeds.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The table of a study's trials, the best first, repeats of a leader beneath it."""
    if to is not None:
        check_target(to, *_ENDINGS)
    from famus_ray.cli.trial_tables import show_trials
    from famus_ray.reading.folders import load_trials
    from famus_ray.reading.ranking import marks, ranked
    from famus_ray.reading.where import rows_where, sorted_by

    table = load_trials(name)
    if test:
        table = _with_test_accuracy(table, name)
    table = ranked(table)
    mark = marks(table)
    chosen = table if where is None else rows_where(table, where)
    chosen = chosen if sort is None else sorted_by(chosen, sort)
    show_trials(chosen, table, mark, to, as_json)


def _with_test_accuracy(table: pd.DataFrame, name: str) -> pd.DataFrame:
    from famus_ray.errors import UserError
    from famus_ray.reading.loaded import load
    from famus_ray.reading.trials import with_test_accuracy

    if "run" in table:
        raise UserError("--test: is for one study; name it")
    found = load(name)
    return with_test_accuracy(table, found.curves, found.config["run"]["select"])


def compare(
    names: Annotated[
        list[str], typer.Argument(help="Runs and studies, or patterns such as 'runs/ce-*'.")
    ],
    by: Annotated[
        list[str] | None,
        typer.Option(
            help="Setting that makes a method; may be given again. method.name if left out."
        ),
    ] = None,
    measure: Annotated[
        str, typer.Option(help="last10, best (test accuracies) or seconds_per_step.")
    ] = "last10",
    to: _To = None,
    as_json: AsJson = False,
) -> None:
    """Compare methods over seeds: mean, deviation, interval, paired tests, ranks."""
    if to is not None:
        check_target(to, *_ENDINGS)
    from famus_ray.cli.output import print_frame, say
    from famus_ray.files import write_text
    from famus_ray.reading.comparison import compare as compared
    from famus_ray.reading.writing import write_frame

    found = compared(names, by or ["method.name"], measure=measure)
    if to is not None:
        if to.suffix in (".md", ".tex"):
            write_text(to, found.to_markdown() if to.suffix == ".md" else found.to_latex())
        else:
            write_frame(found.table, to, "comparison")
        print(json.dumps({"comparison": str(to)}) if as_json else to)
    elif as_json:
        frames = {"table": found.table, "tests": found.tests, "ranks": found.ranks.reset_index()}
        content = {key: json.loads(f.to_json(orient="records")) for key, f in frames.items()}
        print(json.dumps({**content, "method": found.method}))
    else:
        print_frame(found.table)
        if len(found.tests):
            print()
            print_frame(found.tests)
        if len(found.ranks.columns) > 2:
            print()
            print_frame(found.ranks.reset_index())
        say(found.method)


def show(
    name: Name,
    trial: Annotated[int, typer.Argument(help="Number of the trial.")],
    as_json: AsJson = False,
) -> None:
    """One trial: why it ended, the command that trains it again, how it differs from the best."""
    from famus_ray.cli.trial_tables import show_trial
    from famus_ray.reading.loaded import load
    from famus_ray.reading.one_trial import one_trial

    found = one_trial(load(name), trial)
    if as_json:
        print(json.dumps(vars(found)))
    else:
        show_trial(found)


def report(name: Name, as_json: AsJson = False) -> None:
    """Write report.html for a run or study: one file that works offline."""
    from famus_ray.reading.report import write_report
    from famus_ray.records.folders import find_folder

    folder = find_folder(name)
    check_writable(folder, folder / "report.html")
    path = write_report(name)
    print(json.dumps({"report": str(path)}) if as_json else path)
