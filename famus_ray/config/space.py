"""Search spaces: YAML that names settings and their ranges, checked before anything starts.

about: one line
preset: digits
settings: {method: famus}
space:
  meta.lr: {type: float, low: 1.0e-4, high: 1.0e-1, log: true}
  meta.k: {type: int, low: 1, high: 6}
  meta.grouping: {type: choice, values: [tensor, layer, block]}
  meta.scope: {type: choice, values: [all, tail], when: {meta.grouping: layer}}
points: [{meta.lr: 1.0e-3}]
"""

from __future__ import annotations

import difflib
import json
from collections.abc import Iterator, Mapping, Sequence
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any, Literal

from pydantic import BaseModel, ConfigDict, Field, TypeAdapter, ValidationError, model_validator

from famus_ray.config.resolve import Resolved, field_names, load_yaml, resolve
from famus_ray.config.schema import Config
from famus_ray.errors import UserError

if TYPE_CHECKING:
    from optuna.distributions import BaseDistribution
    from optuna.trial import Trial

__all__ = ["Space", "check_study", "load_space", "read_entries", "space_names", "space_path"]

_Number = int | float


_FIXED = ("scale.", "study.", "run.", "schedule.epochs")


class _Entry(BaseModel):
    model_config = ConfigDict(frozen=True, extra="forbid", allow_inf_nan=False)

    when: dict[str, Any] = {}
    """Searched only where these other settings have these values (or one of a list)."""


class _Float(_Entry):
    type: Literal["float"]
    low: float
    high: float
    log: bool = False
    step: float | None = Field(None, gt=0)

    @model_validator(mode="after")
    def _ordered(self) -> _Float:
        _check_range(self.low, self.high, self.log, self.step)
        return self

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import FloatDistribution

        return FloatDistribution(self.low, self.high, log=self.log, step=self.step)

    def ends(self) -> list[Any]:
        return [self.low, self.high]

    def contains(self, value: Any) -> bool:
        return isinstance(value, int | float) and self.low <= value <= self.high


class _Int(_Entry):
    type: Literal["int"]
    low: int
    high: int
    log: bool = False
    step: int = Field(1, ge=1)

    @model_validator(mode="after")
    def _ordered(self) -> _Int:
        _check_range(self.low, self.high, self.log, None if self.step == 1 else self.step)
        return self

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import IntDistribution

        return IntDistribution(self.low, self.high, log=self.log, step=self.step)

    def ends(self) -> list[Any]:
        return [self.low, self.high]

    def contains(self, value: Any) -> bool:
        return isinstance(value, int) and self.low <= value <= self.high


class _Choice(_Entry):
    type: Literal["choice"]
    values: list[Any] = Field(min_length=1)

    @model_validator(mode="after")
    def _distinct(self) -> _Choice:
        if len({json.dumps(v) for v in self.values}) < len(self.values):
            raise ValueError(f"values = {self.values}: the same one twice")
        return self

    def distribution(self) -> BaseDistribution:
        from optuna.distributions import CategoricalDistribution

        return CategoricalDistribution([_scalar(value) for value in self.values])

    def ends(self) -> list[Any]:
        return self.values

    def contains(self, value: Any) -> bool:
        return _scalar(value) in [_scalar(v) for v in self.values]


_Range = Annotated[_Float | _Int | _Choice, Field(discriminator="type")]
_RANGE: TypeAdapter[_Range] = TypeAdapter(_Range)


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
        entries: Mapping[str, _Range], points: Sequence[Mapping[str, Any]],
    ) -> None:  # fmt: skip
        self.name = name
        self.text = text
        self.about = about
        self.base = base
        self.entries = dict(entries)
        self.points = [{k: _scalar(v) for k, v in point.items()} for point in points]
        self._order = _dependencies_first(entries)

    def __call__(self, trial: Trial) -> dict[str, Any]:
        """Suggest; Optuna keeps what was suggested in `trial.params`."""
        chosen = {name: _value_of(self.base, name) for name in field_names()}
        for name in self._order:
            entry = self.entries[name]
            if all(_matches(chosen[key], wanted) for key, wanted in entry.when.items()):
                chosen[name] = _suggest(trial, name, entry.distribution())
        return {}

    def describe(self) -> Iterator[tuple[str, str, str]]:
        """Setting, range and condition of each entry, for people."""
        for name, entry in self.entries.items():
            if isinstance(entry, _Choice):
                span = " | ".join(map(str, entry.values))
            else:
                span = f"{entry.low} … {entry.high}{' (log)' if entry.log else ''}"
            yield name, span, ", ".join(f"{k} = {v}" for k, v in entry.when.items())


def _suggest(trial: Trial, name: str, distribution: BaseDistribution) -> Any:
    from optuna.distributions import CategoricalDistribution, FloatDistribution, IntDistribution

    if isinstance(distribution, CategoricalDistribution):
        return trial.suggest_categorical(name, distribution.choices)
    assert isinstance(distribution, FloatDistribution | IntDistribution)
    low, high, log, step = (
        distribution.low, distribution.high, distribution.log, distribution.step,
    )  # fmt: skip
    if isinstance(distribution, IntDistribution):
        return trial.suggest_int(name, int(low), int(high), log=log, step=int(step or 1))
    return trial.suggest_float(name, low, high, log=log, step=step)


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
    close = difflib.get_close_matches(name, space_names(), n=1)
    hint = f", did you mean '{close[0]}'?" if close else f"; there are {', '.join(space_names())}"
    raise UserError(f"{name}: no such search space{hint}")


def load_space(name: str, overrides: tuple[str, ...] = ()) -> Space:
    """The search space in a file, over its preset changed by `overrides`.

    Raises:
        UserError: every problem of the file at once.
    """
    path = space_path(name)
    content = load_yaml(path)
    entries, problems = _entries(content.get("space"))
    try:
        file = _SpaceFile.model_validate(content)
    except ValidationError as error:
        found = [_describe(details) for details in error.errors()]
        raise UserError(_report(name, [*found, *problems])) from error
    problems += _problems(entries, file)
    try:
        base = resolve(file.preset, overrides, file.settings, values_from=name)
        problems += _out_of_range(entries, base)
    except UserError as error:
        problems += [line.removeprefix(f"{name}: ") for line in str(error).splitlines()]
    if problems:
        raise UserError(_report(name, problems))
    text = path.read_text(encoding="utf-8")
    return Space(path.stem, text, file.about, base, entries, file.points)


def check_study(config: Config) -> None:
    """Raise the UserError of a study that cannot run, whatever its space."""
    if config.scale.workers > 1:
        raise UserError(
            f"scale.workers = {config.scale.workers}: a trial runs in one worker for now; "
            "train its configuration on several with `famus-ray train --workers`"
        )
    split, _, quantity = config.study.metric.partition("/")
    if split not in ("validation", "test") or quantity not in ("top1", "top5"):
        raise UserError(
            f"study.metric = {config.study.metric}: must be a curve that grows with quality, "
            "validation/top1 or validation/top5"
        )
    if split != config.run.select:
        raise UserError(
            f"study.metric = {config.study.metric}: run.select is {config.run.select}; a study "
            "and its runs select on the same split"
        )


def read_entries(path: Path) -> dict[str, _Range]:
    """The searched settings in a space's file, whether or not its preset can be found.

    Raises:
        UserError: an entry that is none.
    """
    entries, problems = _entries(load_yaml(path).get("space"))
    if problems:
        raise UserError(_report(str(path), problems))
    return entries


def _entries(content: Any) -> tuple[dict[str, _Range], list[str]]:
    """The entries that are well formed, and what is wrong with the others."""
    entries: dict[str, _Range] = {}
    problems: list[str] = []
    for name, entry in content.items() if isinstance(content, dict) else ():
        try:
            entries[str(name)] = _RANGE.validate_python(entry)
        except ValidationError as error:
            problems += [_describe(details, str(name)) for details in error.errors()]
    return entries, problems


def _folder() -> Path:
    """Beside the package in a checkout, inside it when installed."""
    inside = Path(__file__).parent.parent / "search_spaces"
    return inside if inside.is_dir() else inside.parent.parent / "search_spaces"


def _value_of(base: Resolved, name: str) -> Any:
    section, _, key = name.partition(".")
    return getattr(getattr(base.config, section), key)


def _matches(value: Any, wanted: Any) -> bool:
    return value in _listed(wanted)


def _listed(wanted: Any) -> list[Any]:
    return wanted if isinstance(wanted, list) else [wanted]


def _check_range(low: _Number, high: _Number, log: bool, step: _Number | None) -> None:
    if low > high:
        raise ValueError(f"low = {low} is above high = {high}")
    if log and low <= 0:
        raise ValueError(f"low = {low}: a log range must begin above 0")
    if log and step is not None:
        raise ValueError("log and step do not go together")


def _problems(entries: Mapping[str, _Range], file: _SpaceFile) -> list[str]:
    found = []
    for name in file.space:
        if name not in field_names():
            found.append(f"{name}: not a setting{_did_you_mean(name)}")
        elif name.startswith(_FIXED):
            found.append(f"{name}: is the same for all trials of a study; put it under settings")
    for name, entry in entries.items():
        for key in entry.when:
            if key not in field_names():
                found.append(f"{name}.when: {key} is not a setting{_did_you_mean(key)}")
            elif key in entries and not any(map(entries[key].contains, _listed(entry.when[key]))):
                found.append(f"{name}.when: {key} is never {entry.when[key]}")
    if entries and not _dependencies_first(entries):
        found.append("when: the conditions go round in a circle")
    for i, point in enumerate(file.points):
        for key, value in point.items():
            if key not in file.space:
                found.append(f"points[{i}]: {key} is not in the space")
            elif key in entries and not entries[key].contains(value):
                found.append(f"points[{i}]: {key} = {value} is outside its range")
    return found


def _out_of_range(entries: Mapping[str, _Range], base: Resolved) -> list[str]:
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


def _dependencies_first(space: Mapping[str, _Range]) -> list[str]:
    """Names so ordered that a condition comes after what it asks; empty if that cannot be."""
    order: list[str] = []
    waiting = list(space)
    while waiting:
        ready = [n for n in waiting if all(k in order or k not in space for k in space[n].when)]
        if not ready:
            return []
        order += ready
        waiting = [n for n in waiting if n not in ready]
    return order


def _describe(details: Mapping[str, Any], entry: str = "") -> str:
    # The discriminator adds the entry's type to the location; people did not write it there.
    parts = [str(p) for p in details["loc"] if not entry or p not in ("float", "int", "choice")]
    where = ".".join([*([entry] if entry else []), *parts])
    message = details["msg"].removeprefix("Value error, ")
    if details["type"] == "extra_forbidden":
        message = "unknown key"
    return f"{where}: {message[0].lower()}{message[1:]}"


def _scalar(value: Any) -> Any:
    """Optuna's categories are scalars: a list travels as its JSON text."""
    return json.dumps(value) if isinstance(value, list) else value


def _did_you_mean(name: str) -> str:
    same_last_word = [n for n in field_names() if n.endswith(f".{name.rpartition('.')[2]}")]
    close = same_last_word or difflib.get_close_matches(name, field_names(), n=1)
    return f", did you mean '{close[0]}'?" if close else ""


def _report(name: str, problems: list[str]) -> str:
    count = "" if len(problems) == 1 else f"{len(problems)} problems — "
    return f"{name}: {count}{'; '.join(problems)}"
