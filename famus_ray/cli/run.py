"""Commands that train: the demo and one run."""

from __future__ import annotations

import json
from typing import TYPE_CHECKING, Annotated

import typer

from famus_ray.cli.options import AsJson, DryRun, OrResume, Overrides

if TYPE_CHECKING:
    from famus_ray.config.schema import Config

__all__ = ["demo", "train"]


def demo(
    root: Annotated[str, typer.Option(help="Folder for the results.")] = "runs",
    noise: Annotated[float, typer.Option(min=0, max=1, help="Share of the labels redrawn.")] = 0.4,
    as_json: AsJson = False,
) -> None:
    """Tune, compare and report on noisy handwritten digits: the whole job in minutes, offline."""
    from famus_ray.cli.output import interruptible, say, show_demo

    with interruptible("a new demo begins from the start"):
        say(f"the demo, a study and what follows it, in {root}/: loading")
        from famus_ray.demo import run_demo

        result = run_demo(root, noise, say)
    show_demo(result, as_json)


def train(
    preset: Annotated[
        str,
        typer.Argument(help="A preset's name, a YAML file, or the folder or table of your images."),
    ],
    overrides: Overrides = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Data-parallel workers.")] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the run's folder; of its data and method if left out."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it stopped.")] = False,
    or_resume: OrResume = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Train one run: here, or with Ray Train on several workers."""
    from famus_ray.cli.output import interruptible, say, show_run
    from famus_ray.data.own.choices import resolve_run

    more = [*(overrides or [])]
    more += [] if workers is None else [f"scale.workers={workers}"]
    more += [] if name is None else [f"run.name={json.dumps(name, ensure_ascii=False)}"]
    chosen = resolve_run(preset, more)
    resolved = chosen.resolved
    for line in chosen.told:
        say(line)
    if or_resume:
        from famus_ray.begun import as_begun

        begun = as_begun(resolved)
        resume, resolved = resume or begun is not None, begun or resolved
    from famus_ray.run_path import claimed_run, new_run_path

    if dry_run:
        new_run_path(resolved.config, resume=resume)
        from famus_ray.cli.dry_run import show_config

        show_config(resolved, as_json)
        return
    config = resolved.config
    with claimed_run(config, resume=resume) as path, interruptible(path):
        say(f"{'going on with' if resume else 'training'} {_what(config)} in {path}")
        from famus_ray.progress.epoch_bar import EpochProgress
        from famus_ray.scale.run import run_config

        with EpochProgress(path.name, config.schedule.epochs) as shown:
            result = run_config(
                config, path, resume=resume, on_epoch=shown.on_epoch, on_step=shown.on_step
            )
    show_run(result, as_json)


def _what(config: Config) -> str:
    epochs = "1 epoch" if config.schedule.epochs == 1 else f"{config.schedule.epochs} epochs"
    return f"{config.method.name} on {config.data.name} for {epochs}"
