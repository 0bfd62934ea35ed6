"""What can be wrong with a search space, and with the study that searches it."""

from __future__ import annotations

from collections.abc import Collection, Mapping, Sequence
from importlib.util import find_spec
from typing import Any

from famus_ray.config.constraints import read_constraint
from famus_ray.config.mistakes import key_hint
from famus_ray.config.ranges import Choice, Derived, FloatRange, IntRange, Range, listed
from famus_ray.config.resolve import Resolved, resolve
from famus_ray.config.schema import Config, field_names
from famus_ray.config.space_order import dependencies_first, in_a_circle
from famus_ray.errors import UserError

__all__ = [
    "CHANGE_IN_RUN",
    "check_study",
    "grid_problems",
    "population_problems",
    "range_problems",
    "space_problems",
]

_FIXED = ("scale.", "study.", "run.", "schedule.epochs")  # the same for all trials of a study
_NOT_FIXED = ("run.batch_size",)

# Settings that a run may go on with after they were changed: what pbt perturbs.
CHANGE_IN_RUN = ("optimiser.lr", "meta.lr", "meta.gate_lr", "meta.lambda1", "meta.lambda2")


def check_study(config: Config) -> None:
    """Raise the UserError of a study that cannot run, whatever its space."""
    study = config.study
    split, _, quantity = study.metric.partition("/")
    if split not in ("validation", "test") or quantity not in ("top1", "top5"):
        raise UserError(
            f"study.metric = {study.metric}: must be a curve that grows with quality, "
            "validation/top1 or validation/top5"
        )
    if split != config.run.select:
        raise UserError(
            f"study.metric = {study.metric}: run.select is {config.run.select}; a study "
            "and its runs select on the same split"
        )
    if study.minimise and study.scheduler != "none":
        raise UserError(
            f"study.scheduler = {study.scheduler}: with several objectives no trial is plainly "
            "the worse; set study.scheduler=none"
        )
    if study.minimise and study.searcher == "cmaes":
        raise UserError("study.searcher = cmaes: knows one objective only; try nsga2")
    if study.minimise and study.leaders:
        raise UserError(
            f"study.leaders = {study.leaders}: with several objectives none leads; leave it out"
        )
    if study.scheduler == "pbt" and study.leaders:
        raise UserError(
            "study.leaders: what pbt finds is a schedule, which no single configuration repeats; "
            "leave it out"
        )
    if study.constraints and study.searcher in ("cmaes", "gp"):
        raise UserError(
            f"study.searcher = {study.searcher}: knows no constraints; try tpe, or nsga2"
        )
    for text in study.constraints:
        read_constraint(text)
    if study.searcher == "cmaes" and find_spec("cmaes") is None:
        raise UserError(
            "study.searcher = cmaes: needs another package; pip install 'famus-ray[search]'"
        )


def space_problems(
    entries: Mapping[str, Range], named: Collection[str], points: Sequence[Mapping[str, Any]]
) -> list[str]:
    """What is wrong with the names, conditions and points of a space.

    Args:
        named: all names in the file, those of entries that could not be read included.
    """
    found = []
    for name in named:
        if name not in field_names():
            found.append(f"{name}: not a setting{key_hint(name)}")
        elif name.startswith(_FIXED) and name not in _NOT_FIXED:
            found.append(f"{name}: is the same for all trials of a study; put it under settings")
    for name, entry in entries.items():
        if isinstance(entry, Derived) and entry.of not in field_names():
            found.append(f"{name}.of: {entry.of} is not a setting{key_hint(entry.of)}")
        elif isinstance(entry, Derived) and isinstance(other := entries.get(entry.of), Choice):
            words = [value for value in other.values if not isinstance(value, int | float)]
            if words:
                found.append(f"{name}.of: {entry.of} may be {words[0]!r}, which has no multiple")
        for key in entry.when:
            if key not in field_names():
                found.append(f"{name}.when: {key} is not a setting{key_hint(key)}")
            elif key in entries and not any(map(entries[key].contains, listed(entry.when[key]))):
                found.append(f"{name}.when: {key} is never {entry.when[key]}")
    if entries and not dependencies_first(entries):
        circle = ", ".join(in_a_circle(entries))
        found.append(f"when: the conditions go round in a circle: {circle}")
    for i, point in enumerate(points):
        for key, value in point.items():
            if key not in named:
                found.append(f"points[{i}]: {key} is not in the space")
            elif key in entries and not entries[key].contains(value):
                found.append(f"points[{i}]: {key} = {value} is outside its range")
    return found


def grid_problems(entries: Mapping[str, Range], base: Resolved) -> list[str]:
    """Why not every combination of a space can be tried."""
    found = [
        f"{name}: has no end of values for study.searcher = grid; give it a step, or choices"
        for name, entry in entries.items()
        if isinstance(entry, FloatRange | IntRange) and entry.steps() is None
    ]
    if base.sources["study.trials"] != "default":
        found.append("study.trials: a grid has all its trials; leave it out")
    return found


def population_problems(entries: Mapping[str, Range]) -> list[str]:
    """Why a population has nothing to perturb."""
    ranges = [name for name, entry in entries.items() if isinstance(entry, FloatRange)]
    if set(ranges) & {*CHANGE_IN_RUN}:
        return []
    names = ", ".join(CHANGE_IN_RUN)
    return [f"study.scheduler: pbt perturbs ranges of {names}; the space has none of them"]


def range_problems(entries: Mapping[str, Range], base: Resolved) -> list[str]:
    """What the schema of a run says of the ends of each range."""
    values = base.config.model_dump()
    found = []
    for name, entry in entries.items():
        section, _, key = name.partition(".")
        for end in entry.ends() if name in field_names() else ():
            try:
                resolve(values={**values, section: {**values[section], key: end}})
            except UserError as error:
                found.append(str(error).removeprefix("arguments: "))
    return found
