"""Commands that train: the demo and one run."""

from __future__ import annotations

import json
from typing import Annotated

import typer

from famus_ray.cli.options import AsJson, DryRun, Overrides

__all__ = ["demo", "train"]


def demo(
    root: Annotated[str, typer.Option(help="Folder for the results.")] = "runs",
    noise: Annotated[float, typer.Option(min=0, max=1, help="Share of the labels redrawn.")] = 0.4,
    as_json: AsJson = False,
) -> None:
    """Tune, compare and report on noisy handwritten digits: the whole job in minutes, offline."""
    from famus_ray.cli.output import say, show_demo
    from famus_ray.demo import run_demo

    show_demo(run_demo(root, noise, say), as_json)


def train(
    preset: Annotated[str, typer.Argument(help="A preset's name or a YAML file.")],
    overrides: Overrides = None,
    workers: Annotated[int | None, typer.Option(min=1, help="Data-parallel workers.")] = None,
    name: Annotated[
        str | None,
        typer.Option(help="Name of the run's folder; of its data and method if left out."),
    ] = None,
    resume: Annotated[bool, typer.Option("--resume", help="Go on where it stopped.")] = False,
    dry_run: DryRun = False,
    as_json: AsJson = False,
) -> None:
    """Train one run: here, or with Ray Train on several workers."""
    from famus_ray.config.resolve import resolve

    more = [*(overrides or [])]
    more += [] if workers is None else [f"scale.workers={workers}"]
    more += [] if name is None else [f"run.name={json.dumps(name, ensure_ascii=False)}"]
    resolved = resolve(preset, more)
    from famus_ray.run_folder import new_run_path

    path = new_run_path(resolved.config, resume=resume)
    if dry_run:
        from famus_ray.cli.dry_run import show_config

        show_config(resolved, as_json)
        return
    from famus_ray.api import run_config
    from famus_ray.cli.output import interruptible, show_run
    from famus_ray.progress import EpochProgress

    progress = EpochProgress(path.name, resolved.config.schedule.epochs)
    with interruptible(path), progress:
        result = run_config(
            resolved.config,
            path,
            resume=resume,
            on_epoch=progress.on_epoch,
            on_step=progress.on_step,
        )
    show_run(result, as_json)
