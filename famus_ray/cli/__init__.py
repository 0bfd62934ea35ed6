"""The command line, one function per command; heavy packages are imported where they are used."""

from __future__ import annotations

import sys
import warnings
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path
from typing import Annotated, TextIO

import typer

from famus_ray.cli import check, labels, read, run, runs, study
from famus_ray.cli.bench import bench_app
from famus_ray.cli.cluster import cluster_app
from famus_ray.cli.data import data_app
from famus_ray.cli.presets import presets_app
from famus_ray.cli.spaces import spaces_app
from famus_ray.errors import Diverged, StudyStopped, UserError, not_installed
from famus_ray.files import NotWritten

__all__ = ["main"]

app = typer.Typer(
    name="famus-ray",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
for command in (
    run.demo,
    run.train,
    study.tune,
    study.resume,
    study.extend,
    read.trials,
    read.show,
    read.compare,
    runs.runs,
    read.report,
    labels.labels,
    check.check,
):
    app.command()(command)
app.add_typer(data_app, name="data")
app.add_typer(presets_app, name="presets")
app.add_typer(spaces_app, name="spaces")
app.add_typer(bench_app, name="bench")
app.add_typer(cluster_app, name="cluster")


def main() -> None:
    """The entry point of the command line.

    Exit codes: 0 for success, 2 for a user's mistake, 1 for a failure or an interruption.
    """
    from famus_ray.cli.output import interruptible

    try:
        _check_arguments()
        with _plain_warnings(), interruptible():
            app()
    except UserError as error:
        print(f"famus-ray: {error}", file=sys.stderr)
        sys.exit(2)
    except ModuleNotFoundError as error:
        if (missing := not_installed(error, " ".join(sys.argv[1:2]))) is None:
            raise
        print(f"famus-ray: {missing}", file=sys.stderr)
        sys.exit(2)
    except (Diverged, StudyStopped, NotWritten) as error:
        print(f"famus-ray: {error}", file=sys.stderr)
        sys.exit(1)
    except OSError as error:  # a full disk, a missing permission
        told = f"{error.filename}: {error.strerror}" if error.filename else error
        print(f"famus-ray: {told}", file=sys.stderr)
        sys.exit(1)


@contextmanager
def _plain_warnings() -> Iterator[None]:
    """Inside, this package's warnings are printed in one line each, without the source location.

    Warnings of libraries are printed as usual.
    """
    with warnings.catch_warnings():
        as_ever = warnings.showwarning

        def show(
            message: Warning | str,
            category: type[Warning],
            filename: str,
            lineno: int,
            file: TextIO | None = None,
            line: str | None = None,
        ) -> None:
            if Path(filename).is_relative_to(Path(__file__).parents[1]):
                print(f"famus-ray: {message}", file=sys.stderr)
            else:
                as_ever(message, category, filename, lineno, file, line)

        warnings.showwarning = show
        yield


def _check_arguments() -> None:
    for argument in sys.argv[1:]:
        if any(0xD800 <= ord(letter) <= 0xDFFF for letter in argument):
            raise UserError(f"{argument!a}: is not text in UTF-8")


def _print_version(wanted: bool) -> None:
    if wanted:
        from famus_ray import __version__

        print(f"famus-ray {__version__}")
        raise typer.Exit


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="The version.")
    ] = False,
) -> None:
    """Noise-robust training by meta-learned example weights, tuned and scaled on Ray."""
