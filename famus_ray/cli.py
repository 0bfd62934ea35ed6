"""The command line: thin, one function a command; what is heavy is imported where it is used."""

from __future__ import annotations

import json
import shlex
import sys
from pathlib import Path
from typing import Annotated

import typer

from famus_ray.errors import Diverged, UserError

__all__ = ["main"]

app = typer.Typer(
    name="famus-ray",
    no_args_is_help=True,
    pretty_exceptions_enable=False,
    context_settings={"help_option_names": ["-h", "--help"]},
)
presets_app = typer.Typer(help="Settings that come with the package.", no_args_is_help=True)
spaces_app = typer.Typer(help="Search spaces that come with the package.", no_args_is_help=True)
bench_app = typer.Typer(help="The project's own measurements.", no_args_is_help=True)
app.add_typer(presets_app, name="presets")
app.add_typer(spaces_app, name="spaces")
app.add_typer(bench_app, name="bench")

Overrides = Annotated[
    list[str] | None, typer.Argument(metavar="[KEY=VALUE]...", help="Such as meta.lr=1e-3.")
]
AsJson = Annotated[bool, typer.Option("--json", help="Print the result as JSON.")]
DryRun = Annotated[bool, typer.Option("--dry-run", help="Show what would run, and run nothing.")]
Name = Annotated[str, typer.Argument(help="A run or study: its name under runs/, or its path.")]


def _print_version(wanted: bool) -> None:
    if wanted:
        from famus_ray import __version__

        print(f"famus-ray {__version__}")
        raise typer.Exit


def main() -> None:
    """Entry point: exit code 0 when the work is done, 2 for a user's mistake, 1 for a failure."""
    try:
        app()
    except UserError as error:
        print(f"famus-ray: {error}", file=sys.stderr)
        sys.exit(2)
    except (Diverged, OSError) as error:  # a full disk, a missing permission
        print(f"famus-ray: {error}", file=sys.stderr)
        sys.exit(1)


@app.callback()
def _options(
    version: Annotated[
        bool, typer.Option("--version", is_eager=True, callback=_print_version, help="The version.")
    ] = False,
) -> None:
    """Noise-robust training by meta-learned example weights, tuned and scaled on Ray."""


@app.command()
def demo(
    root: Annotated[str, typer.Option(help="Folder for the results.")] = "runs",
    noise: Annotated[float, typer.Option(min=0, max=1, help="Share of the labels redrawn.")] = 0.4,
    as_json: AsJson = False,
) -> None:
    """Tune, compare and report on noisy handwritten digits: the whole job in minutes, offline."""
    from famus_ray.cli_output import say, show_demo
    from famus_ray.demo import run_demo

    show_demo(run_demo(root, noise, say), as_json)


@app.command()
def train(
    preset: Annotated[str, typer.Argument(help="A preset's name or a YAML file.")],
    overrides: Overrides = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Data-parallel workers.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the run's folder.")] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it stopped.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Train one run: here, or with Ray Train on several workers."""
    from famus_ray.config.resolve import resolve

    more = [*(overrides or [])]
    more += [] if workers is None else [f"scale.workers={workers}"]
    named = {} if name is None else {"run": {"name": name}}
    resolved = resolve(preset, more, named, values_from="--name")
    if dry_run:
        from famus_ray.cli_output import show_config

        show_config(resolved, as_json)
        return
    from famus_ray.api import run_config
    from famus_ray.cli_output import interruptible, show_run
    from famus_ray.progress import EpochProgress
    from famus_ray.run_folder import new_run_path

    path = new_run_path(resolved.config, resume=resume)
    progress = EpochProgress(path.name, resolved.config.schedule.epochs)
    again = ["famus-ray", *sys.argv[1:], *([] if named else ["--name", path.name])]
    again += [] if resume else ["--resume"]
    with interruptible(f"go on with: {shlex.join(again)}"), progress:
        result = run_config(
            resolved.config,
            path,
            resume=resume,
            on_epoch=progress.on_epoch,
            on_step=progress.on_step,
        )
    show_run(result, as_json)


@app.command()
def tune(
    space: Annotated[str, typer.Argument(help="A search space's name or its YAML file.")],
    overrides: Overrides = None,
    trials: Annotated[int | None, typer.Option(min=1, help="Configurations to try.")] = None,
    concurrent: Annotated[int | None, typer.Option(min=1, help="Trials at the same time.")] = None,
    name: Annotated[str | None, typer.Option(help="Name of the study's folder.")] = None,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Search for good settings with Optuna and ASHA on Ray Tune."""
    from famus_ray.config.space import check_study, load_space

    more = [*(overrides or [])]
    more += [] if trials is None else [f"study.trials={trials}"]
    more += [] if concurrent is None else [f"study.concurrent={concurrent}"]
    more += [] if name is None else [f"run.name={json.dumps(name)}"]
    loaded = load_space(space, tuple(more))
    check_study(loaded.base.config)
    if dry_run:
        from famus_ray.cli_output import show_space

        show_space(loaded, as_json)
        return
    from famus_ray.cli_output import interruptible, show_study
    from famus_ray.progress import StudyProgress
    from famus_ray.scale.study import new_study_path, run_study

    path = new_study_path(loaded)
    progress = StudyProgress(loaded.base.config.study.trials)
    with interruptible(f"what has run is in: famus-ray trials {path}"), progress:
        run_study(loaded, path, lambda n: progress.on_trial(n.event, n.number, n.value))
    show_study(path, as_json)


@app.command()
def trials(
    name: Name,
    to: Annotated[Path | None, typer.Option("--to", help="A .csv or .parquet file.")] = None,
    as_json: AsJson = False,
) -> None:
    """The table of a study's trials, the best first."""
    from famus_ray.cli_output import show_trials
    from famus_ray.reading.folders import load_trials

    show_trials(load_trials(name).sort_values("value", ascending=False), to, as_json)


@app.command()
def report(name: Name, as_json: AsJson = False) -> None:
    """Write report.html for a run or study: one file that works offline."""
    from famus_ray.reading.report import write_report

    path = write_report(name)
    print(json.dumps({"report": str(path)}) if as_json else path)


@presets_app.command("list")
def presets_list(as_json: AsJson = False) -> None:
    """Names of the presets."""
    from famus_ray.config.resolve import preset_names

    _print_names(preset_names(), as_json)


@presets_app.command("show")
def presets_show(name: Annotated[str, typer.Argument(help="A preset's name.")]) -> None:
    """The YAML of a preset."""
    from famus_ray.config.resolve import preset_path

    print(preset_path(name).read_text(encoding="utf-8"), end="")


@presets_app.command("copy")
def presets_copy(
    name: Annotated[str, typer.Argument(help="A preset's name.")],
    to: Annotated[Path | None, typer.Argument(help="The copy; NAME.yaml when left out.")] = None,
) -> None:
    """Copy a preset, to change it."""
    from famus_ray.config.resolve import preset_path
    from famus_ray.files import write_text

    source = preset_path(name)
    target = to or Path(f"{name}.yaml")
    if target.exists():
        raise UserError(f"{target}: there already; choose another name")
    schema = source.with_name("schema.json")
    text = source.read_text(encoding="utf-8").replace("$schema=schema.json", f"$schema={schema}")
    write_text(target, text)
    print(target)


@presets_app.command("schema")
def presets_schema() -> None:
    """The JSON Schema of a preset, for editors."""
    from famus_ray.config.json_schema import json_schema

    print(json.dumps(json_schema(), indent=2))


@spaces_app.command("list")
def spaces_list(as_json: AsJson = False) -> None:
    """Names of the search spaces."""
    from famus_ray.config.space import space_names

    _print_names(space_names(), as_json)


@spaces_app.command("show")
def spaces_show(name: Annotated[str, typer.Argument(help="A search space's name.")]) -> None:
    """The YAML of a search space."""
    from famus_ray.config.space import space_path

    print(space_path(name).read_text(encoding="utf-8"), end="")


@bench_app.command("step")
def bench_step(
    batch: Annotated[list[int] | None, typer.Option(min=1, help="Batch sizes.")] = None,
    rounds: Annotated[int, typer.Option(min=1, help="Measured rounds; medians are shown.")] = 5,
    network: Annotated[str, typer.Option(help="A network's name.")] = "preact_resnet18",
    as_json: AsJson = False,
) -> None:
    """Time and memory of one training step: every method and engine against plain SGD."""
    from famus_ray.bench.step import bench_steps
    from famus_ray.cli_output import say, show_bench

    show_bench(bench_steps(network, tuple(batch or (32, 64)), rounds, say), as_json)


def _print_names(names: list[str], as_json: bool) -> None:
    print(json.dumps(names) if as_json else "\n".join(names))
