"""Search spaces: YAML files of settings and their ranges, checked before any trial starts.

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

from collections.abc import Iterator, Mapping, Sequence
from typing import TYPE_CHECKING, Any

from famus_ray.config.contradictions import contradictions
from famus_ray.config.mistakes import joined
from famus_ray.config.resolve import Resolved, flattened, load_yaml, nested, resolve, resolve_values
from famus_ray.config.schema import Config
from famus_ray.errors import UserError
from famus_ray.spaces.ranges import Range, Searched, scalar, span
from famus_ray.spaces.space_checks import base_problems, space_problems
from famus_ray.spaces.space_file import parse_ranges, parse_space, space_path
from famus_ray.spaces.space_walk import Walk
from famus_ray.spaces.study_checks import TRIALS_PER_CHILD
from famus_ray.spaces.trial_config import decoded

if TYPE_CHECKING:
    from optuna.trial import Trial

__all__ = ["Space", "load_space"]


class Space:
    """A checked search space; a call with an Optuna trial suggests the trial's settings.

    Attributes:
        name: of the file, without its extension.
        about: description in one line.
        text: content of the file.
        base: the config that every trial starts from, with the source of each value.
        entries: of the space, by setting.
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
        self._walk = Walk(entries, base)

    def based_on(self, config: Config) -> Space:
        """The same space with another config that every trial starts from."""
        base = Resolved(config, self.base.sources)
        return Space(self.name, self.text, self.about, base, self.entries, self.points)

    def __call__(self, trial: Trial) -> dict[str, Any]:
        """The settings of a trial: suggested, constant or derived."""
        return self._walk(lambda name, entry: entry.suggest(trial, name))

    def placed(self, own: Mapping[str, Any]) -> dict[str, Any] | None:
        """The settings of a trial as a point of this space; None if it lies outside.

        Args:
            own: all settings of the trial, by dotted key.
        """
        outside = []

        def pick(name: str, entry: Searched) -> Any:
            if not entry.contains(own[name]):
                outside.append(name)
            return scalar(own[name])

        found = self._walk(pick)
        return None if outside else found

    def grid(self) -> list[dict[str, Any]]:
        """All combinations of values that the conditions allow; the last setting varies fastest."""
        return [settings for settings, _ in self._walk.combinations(self.entries)]

    def cases(self) -> Iterator[tuple[str, dict[str, Any]]]:
        """Pairs of a setting and the settings of a trial, for each end or choice of the setting."""
        return self._walk.cases()

    def planned_trials(self) -> int:
        """The number of trials of the study: the size of a grid, or `study.trials`."""
        study = self.base.config.study
        return (self.size() or 0) if study.searcher == "grid" else study.trials

    def planned_runs(self) -> int:
        """The number of trials of the study with the further seeds of its leaders."""
        study, trials = self.base.config.study, self.planned_trials()
        return trials + min(study.leaders, trials) * study.leader_seeds

    def planned_children(self) -> int:
        """The approximate number of trials that replace others (pbt); 0 without a population."""
        return self.planned_trials() // TRIALS_PER_CHILD * self.base.config.exploitations

    def size(self) -> int | None:
        """The number of different trials; a lower bound above a million.

        None if a range of real numbers has no step.
        """
        return self._walk.size()

    def describe(self) -> Iterator[tuple[str, str, str]]:
        """Setting, range and condition of each entry, as text for the user."""
        for name, entry in self.entries.items():
            yield name, span(entry), ", ".join(f"{k} = {v}" for k, v in entry.when.items())


def load_space(
    name: str,
    overrides: tuple[str, ...] = (),
    values: Mapping[str, Any] | None = None,
    preset: str | None = None,
    chosen: Mapping[str, Any] | None = None,
) -> Space:
    """The search space in a file, based on its preset with `overrides`.

    Args:
        name: of a space, or its file's path.
        overrides: `section.key=value` from the command line.
        values: settings as a nested mapping, which replace those of the file.
        preset: in the place of the file's.
        chosen: settings by dotted key, which those of the file replace.

    Raises:
        UserError: lists all problems of the file.
    """
    path = space_path(name)
    content = load_yaml(path)
    entries, problems = parse_ranges(content.get("space"))
    file, malformed = parse_space(content)
    if file is None:
        raise UserError(joined(name, [*malformed, *problems]))
    problems += space_problems(entries, file.space, file.points)
    problems += [
        f"{key} is searched; leave out {key}= to search it, or take it out of the space"
        for key in (*(item.partition("=")[0] for item in overrides), *flattened(values or {}))
        if key in entries
    ]
    settings = nested({**(chosen or {}), **flattened(file.settings), **flattened(values or {})})
    preset = preset or file.preset
    found, wrong = resolve_values(preset, overrides, settings, name)
    problems += [m if source == name else f"{source}: {m}" for source, m in wrong]
    if found is not None:
        problems += base_problems(entries, file.points, found)
    if problems or found is None:
        raise UserError(joined(name, problems))
    # A searched setting's value in the preset may contradict others: no trial has that value.
    usual = {key: decoded(value) for key, value in Walk(entries, found).usual().items()}
    changed = usual if any(contradictions(found.config, found.sources)) else {}
    base = resolve(
        preset,
        overrides,
        nested({**flattened(settings), **flattened(changed)}),
        values_from=name,
    )
    text = path.read_text(encoding="utf-8")
    return Space(path.stem, text, file.about, base, entries, file.points)
