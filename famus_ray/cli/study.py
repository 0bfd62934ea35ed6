"""Commands of a study: search, and the table of its trials."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated

import typer

from famus_ray.cli.options import AsJson, DryRun, Name, Overrides

__all__ = ["trials", "tune"]


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
        from famus_ray.cli.output import show_space

        show_space(loaded, as_json)
        return
    from famus_ray.cli.output import interruptible, show_study
    from famus_ray.progress import StudyProgress
    from famus_ray.scale.study import new_study_path, run_study

    path = new_study_path(loaded)
    progress = StudyProgress(loaded.base.config.study.trials)
    with interruptible(f"what has run is in: famus-ray trials {path}"), progress:
        run_study(loaded, path, lambda n: progress.on_trial(n.event, n.number, n.value))
    show_study(path, as_json)


def trials(
    name: Name,
    to: Annotated[Path | None, typer.Option("--to", help="A .csv or .parquet file.")] = None,
    as_json: AsJson = False,
) -> None:
    """The table of a study's trials, the best first."""
    from famus_ray.cli.output import show_trials
    from famus_ray.reading.folders import load_trials

    show_trials(load_trials(name).sort_values("value", ascending=False), to, as_json)
