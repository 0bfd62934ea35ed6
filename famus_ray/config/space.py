"""Search spaces: YAML that names settings and their ranges, checked before anything starts.

about: one line
preset: digits
settings: {method: famus}
space:
  meta.lr: {type: float, low: 1.0e-4, high: 1.0e-1, log: true}
  meta.k: {type: int, low: 1, high: 6}
  meta.grouping: {type: choice, values: [tensor, layer, block]}
  meta.scope: {type: choice, values: [all, tail], when: {meta.grouping: layer}}
  meta.lambda1: {type: constant, value: 0.0, when: {meta.grouping: block}}
  meta.gate_lr: {type: derived, of: meta.lr, times: 100}
points: [{meta.lr: 1.0e-3}]
"""

from __future__ import annotations

from collections.abc import Callable, Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Any

from pydantic import BaseModel, ConfigDict, Field, ValidationError

from famus_ray.config.ranges import (
    Choice,
    Constant,
    Derived,
    Range,
    Searched,
    describe_error,
    joined,
    listed,
    parse_ranges,
    scalar,
)
from famus_ray.config.resolve import Resolved, load_yaml, preset_names, resolve
from famus_ray.config.schema import field_names
from famus_ray.config.space_checks import (
    grid_problems,
    population_problems,
    range_problems,
    space_problems,
)
from famus_ray.config.space_order import dependencies_first
from famus_ray.errors import UserError, did_you_mean

if TYPE_CHECKING:
    from optuna.trial import Trial

__all__ = ["Space", "load_space", "saved_space", "space_names", "space_path"]


class _SpaceFile(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid")

    about: str = ""
    preset: str
    settings: dict[str, Any] = {}
    space: dict[str, Any] = Field(min_length=1)
    points: list[dict[str, Any]] = []


class Space:
    """A checked search space; called with an Optuna trial it suggests that trial's settings.

    Attributes:
        name: of the file, without its ending.
        about: one line for people.
        text: the file, as it was read.
        base: the config that every trial starts from, with the source of each value.
        points: settings to try first.
    """

    def __init__(
        self, name: str, text: str, about: str, base: Resolved,
        entries: Mapping[str, Range], points: Sequence[Mapping[str, Any]],
    ) -> None:  # fmt: skip
        self.name = name
        self.text = text
        self.about = about
        self.base = base
        self.entries = dict(entries)
        self.points = [{k: scalar(v) for k, v in point.items()} for point in points]
        self._order = dependencies_first(entries)

    def __call__(self, trial: Trial) -> dict[str, Any]:
        """The settings of a trial: suggested, set on a condition, or derived."""
        return self._walk(lambda name, entry: entry.suggest(trial, name))

    def grid(self) -> list[dict[str, Any]]:
        """Every combination of values that the conditions allow, the last setting fastest."""
        found: list[dict[str, Any]] = []
        places: list[int] | None = []  # which value of each setting, in the order of the walk
        while places is not None:
            given, taken = places, list[tuple[int, int]]()

            def pick(name: str, entry: Searched) -> Any:
                values = entry.steps() or []
                place = given[len(taken)] if len(taken) < len(given) else 0  # noqa: B023
                taken.append((place, len(values)))  # noqa: B023
                return values[place]

            found.append(self._walk(pick))
            while taken and taken[-1][0] + 1 == taken[-1][1]:
                taken.pop()
            places = [place for place, _ in taken]
            places = [*places[:-1], places[-1] + 1] if places else None
        return found

    def planned_trials(self) -> int:
        """How many trials the study has: those of the grid, or as many as it asks for."""
        study = self.base.config.study
        return len(self.grid()) if study.searcher == "grid" else study.trials

    def planned_runs(self) -> int:
        """How many trials the study has, those included that train its leaders again."""
        study, trials = self.base.config.study, self.planned_trials()
        return trials + min(study.leaders, trials) * study.leader_seeds

    def size(self) -> int | None:
        """How many different trials there are; None where a range of real numbers has no steps."""
        countable = all(entry.steps() is not None for _, entry in self._searched())
        return len(self.grid()) if countable else None

    def _searched(self) -> list[tuple[str, Searched]]:
        return [(n, e) for n, e in self.entries.items() if not isinstance(e, Constant | Derived)]

    def _walk(self, pick: Callable[[str, Searched], Any]) -> dict[str, Any]:
        """The settings in the order of their conditions, each as `pick` says."""
        values = {name: _value_of(self.base, name) for name in field_names()}
        chosen: dict[str, Any] = {}
        for name in self._order:
            entry = self.entries[name]
            if not all(_matches(values[key], wanted) for key, wanted in entry.when.items()):
                continue
            if isinstance(entry, Constant):
                chosen[name] = scalar(entry.value)
            elif isinstance(entry, Derived):
                chosen[name] = entry.value(values[entry.of])
            else:
                chosen[name] = pick(name, entry)
            values[name] = chosen[name]
        return chosen

    def describe(self) -> Iterator[tuple[str, str, str]]:
        """Setting, range and condition of each entry, for people."""
        for name, entry in self.entries.items():
            if isinstance(entry, Choice):
                span = " | ".join(map(str, entry.values))
            elif isinstance(entry, Constant):
                span = str(entry.value)
            elif isinstance(entry, Derived):
                span = f"{entry.times:g} x {entry.of}"
            else:
                span = f"{entry.low} … {entry.high}{' (log)' if entry.log else ''}"
            yield name, span, ", ".join(f"{k} = {v}" for k, v in entry.when.items())


def space_names() -> list[str]:
    """Names of the search spaces that come with the package, sorted."""
    return sorted(path.stem for path in _folder().glob("*.yaml"))


def space_path(name: str) -> Path:
    """The file of a search space by its name or path.

    Raises:
        UserError: neither.
    """
    if name in space_names():
        return _folder() / f"{name}.yaml"
    if Path(name).is_file():
        return Path(name)
    hint = did_you_mean(name, space_names()) or f"; there are {', '.join(space_names())}"
    if name in preset_names():
        hint = f"; it is a preset: famus-ray train {name}"
    raise UserError(f"{name}: no such search space{hint}")


def load_space(name: str, overrides: tuple[str, ...] = ()) -> Space:
    """The search space in a file, over its preset changed by `overrides`.

    Raises:
        UserError: every problem of the file at once.
    """
    path = space_path(name)
    content = load_yaml(path)
    entries, problems = parse_ranges(content.get("space"))
    try:
        file = _SpaceFile.model_validate(content)
    except ValidationError as error:
        found = [describe_error(details) for details in error.errors()]
        raise UserError(joined(name, [*found, *problems])) from error
    problems += space_problems(entries, file.space, file.points)
    problems += [
        f"{key} is searched; leave out {key}= to search it, or take it out of the space"
        for key in (item.partition("=")[0] for item in overrides)
        if key in entries
    ]
    try:
        base = resolve(file.preset, overrides, file.settings, values_from=name)
        problems += range_problems(entries, base)
    except UserError as error:
        problems += [line.removeprefix(f"{name}: ") for line in str(error).splitlines()]
    else:
        if base.config.study.searcher == "grid":
            problems += grid_problems(entries, base)
        if base.config.study.scheduler == "pbt":
            problems += population_problems(entries)
    if problems:
        raise UserError(joined(name, problems))
    text = path.read_text(encoding="utf-8")
    return Space(path.stem, text, file.about, base, entries, file.points)


def saved_space(path: Path, overrides: tuple[str, ...] = ()) -> Space:
    """The search space of a study that was begun in the folder `path`, with its settings.

    Raises:
        UserError: no study there.
    """
    for name in ("space.yaml", "config.yaml"):
        if not (path / name).is_file():
            raise UserError(f"{path}: no study to go on with: it has no {name}")
    file = path / "space.yaml"
    content = load_yaml(file)
    entries, problems = parse_ranges(content.get("space"))
    if problems:
        raise UserError(joined(str(file), problems))
    base = resolve(path / "config.yaml", overrides)
    points = content.get("points") or []
    name = path.name.removeprefix("study-")
    return Space(name, file.read_text("utf-8"), content.get("about", ""), base, entries, points)


def _folder() -> Path:
    """Beside the package in a checkout, inside it when installed."""
    inside = Path(__file__).parent.parent / "search_spaces"
    return inside if inside.is_dir() else inside.parent.parent / "search_spaces"


def _value_of(base: Resolved, name: str) -> Any:
    section, _, key = name.partition(".")
    return getattr(getattr(base.config, section), key)


def _matches(value: Any, wanted: Any) -> bool:
    return value in listed(wanted)
