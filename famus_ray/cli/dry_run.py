"""The output of `--dry-run`: the settings and their estimated cost on this machine.

Settings that training would refuse raise the same error, after they were shown. Only the data may
be missing: users often check settings on another machine.
"""

from __future__ import annotations

import json
from collections.abc import Iterator

from famus_ray.cli.output import print_table
from famus_ray.config.resolve import Resolved
from famus_ray.errors import DataNotHere
from famus_ray.records.run_folder import config_text
from famus_ray.spaces.space import Space
from famus_ray.spaces.space_walk import describe_size
from famus_ray.training.estimate import counted, describe_cost, describe_study_cost, run_cost

__all__ = ["show_config", "show_space"]


def show_config(resolved: Resolved, as_json: bool) -> None:
    """Prints all settings with their sources, and the cost of the run on this machine.

    Raises:
        UserError: as training would, after printing the settings.
    """
    config = resolved.config
    if not as_json:
        print(config_text(config, resolved.sources), end="", flush=True)
    cost, why = None, ""
    try:
        if config.scale.workers > 1:
            from famus_ray.scale.capacity import check_fits_here

            check_fits_here(config.scale)
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
    """Prints the searched settings, the planned trials, and their cost on this machine.

    Raises:
        UserError: as the study would, after printing the space.
    """
    config, study = space.base.config, space.base.config.study
    runs = space.planned_runs() * study.seeds
    if not as_json:
        print_table(("setting", "range", "only when"), list(space.describe()))
        print("; ".join(_planned(space)), flush=True)
    cost, why = None, ""
    try:
        from famus_ray.scale.capacity import check_fits_here

        check_fits_here(config.scale)
        from famus_ray.scale.trial_check import check_trials
        from famus_ray.training.loop import checked_data

        data = checked_data(config)
        check_trials(space, data)
        cost = run_cost(config, data)
    except DataNotHere as error:
        why = str(error)
    finally:
        if as_json:
            names = ("setting", "range", "when")
            rows = [dict(zip(names, row, strict=True)) for row in space.describe()]
            counts = {
                "trials": space.planned_trials(), "seeds": study.seeds,
                "most_epochs": runs * config.schedule.epochs, "size": space.size(),
                "points": _points(space),
            }  # fmt: skip
            if study.scheduler == "pbt":
                counts["children"] = space.planned_children()
            content = {**counts, "space": rows, "cost_of_a_run": cost and vars(cost)}
            print(json.dumps(content))
    if not as_json:
        folders = runs + space.planned_children() * study.seeds
        kept = folders * (1 + config.exploitations)
        print(describe_study_cost(cost, runs, kept) if cost else _unknown(why))


def _planned(space: Space) -> Iterator[str]:
    """Phrases on the number of trials and epochs, and the size of the space."""
    config, study = space.base.config, space.base.config.study
    budget = config.schedule.epochs
    seeds = f" x {study.seeds} seeds" if study.seeds > 1 else ""
    if study.leaders:
        leaders = min(study.leaders, space.planned_trials())
        further = counted(study.leader_seeds, "further seed")
        seeds += f", then {further} of the best {leaders},"
    most = counted(space.planned_runs() * study.seeds * budget, "epoch")
    pruned = ""
    if study.scheduler not in ("none", "pbt"):
        pruned = f", pruned from epoch {config.grace_epochs} on"
    trials = counted(space.planned_trials(), "trial")
    yield f"{trials}{seeds} of at most {counted(budget, 'epoch')}: at most {most}{pruned}"
    if study.scheduler == "pbt":
        yield (
            f"the poorest quarter ends every {counted(study.exploit_every, 'epoch')}, and children "
            f"go on in its place, usually at most {space.planned_children()} in all, with no more "
            "epochs"
        )
    if points := _points(space):
        yield f"{counted(points, 'point')} given to try first"
    yield f"the space has {describe_size(space.size())}"


def _points(space: Space) -> int:
    """The number of trials with the settings of the space's points; 0 for a grid."""
    is_grid = space.base.config.study.searcher == "grid"
    return 0 if is_grid else min(len(space.points), space.planned_trials())


def _unknown(why: str) -> str:
    return f"cost: unknown without the data ({why})"
