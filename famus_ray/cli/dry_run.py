"""What `--dry-run` shows: the settings, and what they would cost here.

Settings that training would refuse are refused, after they were shown; only the data may be
elsewhere, as people look at a run's settings where they write them.
"""

from __future__ import annotations

import json

from famus_ray.cli.output import print_table
from famus_ray.config.resolve import Resolved
from famus_ray.config.schema import ScaleConfig
from famus_ray.config.space import Space
from famus_ray.errors import DataNotHere
from famus_ray.estimate import describe_cost, describe_study_cost, run_cost
from famus_ray.run_folder import config_text

__all__ = ["show_config", "show_space"]


def show_config(resolved: Resolved, as_json: bool) -> None:
    """Every setting, where each value came from, and what the run would cost here.

    Raises:
        UserError: as training would, after the settings.
    """
    config = resolved.config
    if not as_json:
        print(config_text(config, resolved.sources), end="", flush=True)
    cost, why = None, ""
    try:
        if config.scale.workers > 1 and config.scale.address is None:
            _check_fits_here(config.scale)
        cost = run_cost(config)
    except DataNotHere as error:
        why = str(error)
    finally:
        if as_json:
            content = {"config": config.model_dump(mode="json"), "sources": resolved.sources}
            print(json.dumps({**content, "cost": cost and vars(cost)}, indent=2))
    if not as_json:
        print(f"# {describe_cost(cost, config.schedule.epochs) if cost else _unknown(why)}")


def show_space(space: Space, as_json: bool) -> None:
    """The settings that are searched, how much would run, and what it would cost here.

    Raises:
        UserError: as the study would, after the space.
    """
    config, trials, size = space.base.config, space.planned_trials(), space.size()
    runs = space.planned_runs() * config.study.seeds
    most = runs * config.schedule.epochs
    if not as_json:
        study = config.study
        print_table(("setting", "range", "only when"), list(space.describe()))
        seeds = f" x {study.seeds} seeds" if study.seeds > 1 else ""
        if study.leaders:
            seeds += f", then {study.leader_seeds} further seeds of the best {study.leaders},"
        pruned = study.scheduler not in ("none", "pbt")
        print(
            f"{trials} trials{seeds} of at most {config.schedule.epochs} epochs: at most {most} "
            f"epochs{f', pruned from epoch {config.grace_epochs} on' if pruned else ''}; "
            f"the space has {size or 'no end of'} configurations",
            flush=True,
        )
    cost, why = None, ""
    try:
        if config.scale.address is None:
            _check_fits_here(config.scale)
        cost = run_cost(config)
    except DataNotHere as error:
        why = str(error)
    finally:
        if as_json:
            names = ("setting", "range", "when")
            rows = [dict(zip(names, row, strict=True)) for row in space.describe()]
            counts = {"trials": trials, "seeds": config.study.seeds, "most_epochs": most}
            content = {**counts, "size": size, "space": rows, "cost_of_a_run": cost and vars(cost)}
            print(json.dumps(content))
    if not as_json:
        print(describe_study_cost(cost, runs) if cost else _unknown(why))


def _unknown(why: str) -> str:
    return f"cost: unknown without the data ({why})"


def _check_fits_here(scale: ScaleConfig) -> None:
    from famus_ray.scale.capacity import check_fits
    from famus_ray.scale.cluster import local_resources

    check_fits(scale, [local_resources()])
