"""The search of a study: the searcher suggests and prunes, the ledger records.

Every event is written to the ledger first, and then given to the searcher. A search on an
existing ledger replays it through the same code, which restores the state of searcher and pruner.
A trial's draw depends on the study's seed and the trial's number, not on a generator's state.
Trials outside the current space keep their numbers, but the searcher does not learn their results.
"""

from __future__ import annotations

import math
import warnings
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import Trial

from famus_ray.config.schema import Config
from famus_ray.records.ledger import FINAL, append_event, read_events
from famus_ray.records.rebuilt import as_its_curves_say
from famus_ray.scale.given import Given
from famus_ray.scale.leaders import Leaders
from famus_ray.scale.own_settings import OwnSettings
from famus_ray.scale.population import Population, continue_from
from famus_ray.scale.reports import OnTrial, Report, TrialNews, read_report, trial_id
from famus_ray.scale.stopping import Failures
from famus_ray.scale.suggester import Pruned, Suggester, why_pruned
from famus_ray.spaces.space import Space
from famus_ray.spaces.trial_config import trial_config

__all__ = ["Search"]


@dataclass
class _Open:
    """A running trial.

    Attributes:
        trial: Optuna's trial; None if the searcher did not draw it.
        again: whether it trains a leader with a further seed.
        last: its latest report.
        pruned: why it should end; None if it should not.
    """

    trial: Trial | None
    again: bool = False
    last: Report | None = None
    pruned: Pruned | None = None

    @property
    def is_feasible(self) -> bool:
        return self.last is None or all(excess <= 0 for excess in self.last.excess.values())


class Search:
    """Suggests the trials of a study, takes their reports, and decides which to prune.

    The process must hold the ledger's lock.

    Attributes:
        drawn: number of trials started, without children and the leaders' further seeds.
        left_out: number of drawn trials outside the current space, unknown to the searcher.
        failures: how trials ended since the search was opened, and why it stopped early.
        suggester: Optuna's record of all drawn trials.

    Args:
        space: the current search space.
        ledger: path of the ledger.
        on_trial: called with every event of a trial, but not during the replay.
    """

    def __init__(self, space: Space, ledger: Path, on_trial: OnTrial = lambda news: None) -> None:
        self._space = space
        self._config: Config = space.base.config
        self._ledger = ledger
        self._on_trial: OnTrial = lambda news: None
        self._given = Given(space)
        self._own = OwnSettings(space, ledger.parent / "trials")
        self.failures = Failures()
        self._open: dict[int, _Open] = {}
        self.drawn = self.left_out = self._count = 0
        self._leaders = Leaders(self._config)
        self._settings: dict[int, dict[str, Any]] = {}  # of all trials
        is_pbt = self._config.study.scheduler == "pbt"
        self._population = Population(self._config, space.entries) if is_pbt else None
        self.suggester = Suggester(space, "random" if is_pbt else self._config.study.searcher)
        events = read_events(ledger)
        self._retried = {e["trial_id"]: i for i, e in enumerate(events) if e["event"] == "retried"}
        self._replay(events)
        self._planned = self._given.planned(self.drawn)
        self._waiting = deque(sorted(self._open))
        self._on_trial = on_trial

    def __getstate__(self) -> dict[str, Any]:
        """Empty: Tune pickles objects that refer to a search into snapshots that are not used."""
        return {}

    @property
    def left(self) -> int:
        """An upper bound of the trials to run: unfinished and new ones."""
        study, drawn = self._config.study, max(0, self._planned - self.drawn)
        over = not drawn and not self.may_go_on
        more = self._leaders.left if over else study.leaders * study.leader_seeds
        if self._population is not None:
            most = self._planned * (self._config.schedule.epochs // study.exploit_every)
            more = most if drawn or self._open or self._population.due else 0
        return len(self._open) + drawn + more

    @property
    def may_go_on(self) -> bool:
        """Whether the end of the running trials may lead to further trials."""
        searched = any(not trial.again for trial in self._open.values()) and not self.failures.why
        return searched and (self._population is not None or self._config.study.leaders > 0)

    def suggest(self) -> tuple[int, dict[str, Any]] | None:
        """Number and settings of a trial to run; None if there is none at present.

        For a trial that started before the study was changed, the settings include those that
        keep their earlier values.
        """
        if self.failures.why:
            return None
        if self._waiting:
            number = self._waiting.popleft()
            return number, self._own.to_run(number)
        number = self._count
        if self._population is not None and self._population.due:
            return number, self._child(self._population)
        if self.drawn < self._planned:
            settings = self._draw(self._given.at(self.drawn))
            self._own.began(number, settings)
            append_event(self._ledger, "started", trial_id(number), params=settings)
            return number, settings
        again = None if self.may_go_on else self._leaders.next()
        if again is None:
            return None
        leader, settings = again
        settings = {**self._own.to_run(leader), **settings}
        self._own.began(number, settings)
        self._add(None, settings, leader=leader)
        append_event(self._ledger, "started", trial_id(number), params=settings, replicates=leader)
        return number, settings

    def begun(self, number: int) -> None:
        """Records that a process has started the trial."""
        append_event(self._ledger, "attempt", trial_id(number))
        self._tell_watcher("started", number)

    def reported(self, number: int, report: Report) -> bool:
        """Records the report of an epoch; returns whether the trial should end now."""
        report = report.without_infinities()
        append_event(self._ledger, "reported", trial_id(number), **report.details())
        should_end = self._report(number, report)
        self._tell_watcher("reported", number)
        return should_end

    def ended(
        self,
        number: int,
        state: str,
        error: str | None = None,
        *,
        lost: bool = False,
        fault: bool = False,
    ) -> None:
        """Records the end of a trial.

        Args:
            number: of the trial.
            state: completed, pruned or failed.
            error: of a trial that failed or diverged.
            lost: whether its process or node failed; a resumed study runs the trial again.
            fault: whether the machine is at fault, such as a full disk; a resumed study runs the
                trial again, and until then no further trial starts.
        """
        details = {"error": error, "lost": lost or fault or None}
        known: dict[str, Any] = {key: value for key, value in details.items() if value}
        why = self._open[number].pruned
        if state == "pruned" and error is None and why is not None:
            known |= why.details()
        if state == "failed":
            folder = self._ledger.parent / "trials" / trial_id(number)
            known |= as_its_curves_say(folder, self._config.study)
        append_event(self._ledger, state, trial_id(number), **known)
        self.failures.trial_ended(trial_id(number), state, error, fault=fault)
        self._tell_watcher(state, number, error)
        self._end(number, state)

    def _replay(self, events: Iterable[Mapping[str, Any]]) -> None:
        for place, event in enumerate(events):
            if event["event"] == "space":
                self._own.opened(event["base"])
                self._given.opened(event["space"].get("points") or [], self.drawn)
            if "trial_id" not in event:
                continue
            number = int(event["trial_id"])
            if event["event"] == "started" and number >= self._count:
                self._begin_again(number, event)
            elif event["event"] == "retried" and event.get("anew"):
                self._own.began_anew(number)
            elif event["event"] == "reported" and number in self._open:
                self._report(number, read_report(event))
            elif event["event"] in FINAL and number in self._open:
                is_last = place > self._retried.get(event["trial_id"], -1)
                if is_last and not event.get("lost"):
                    self._end(number, event["event"])

    def _begin_again(self, number: int, event: Mapping[str, Any]) -> None:
        """Adds a trial that started before the search was opened, and skips lost ones before it."""
        for lost in range(self._count, number):
            if self.drawn < self._given.planned(self.drawn):
                warnings.warn(
                    f"{self._ledger}: nothing is left of trial {trial_id(lost)}; it is left out",
                    stacklevel=2,
                )
                self.drawn += 1
                self.suggester.skip()
        self._count, params = number, event["params"]
        self._own.began(number, params)
        if "replicates" in event:
            self._add(None, params, leader=event["replicates"])
        elif "parent" in event and self._population:
            self._population.born()
            self._add(None, params)
        elif (inside := self._own.in_space(number)) is None:
            self._add(None, params)
            self.drawn, self.left_out = self.drawn + 1, self.left_out + 1
            self.suggester.skip()
        else:
            self._given.begun(inside)
            self._draw(inside, again=True)
            self._settings[number] = dict(params)

    def _draw(self, given: Mapping[str, Any] | None, *, again: bool = False) -> dict[str, Any]:
        trial, settings = self.suggester.draw(self.drawn, given, again=again)
        self._add(trial, settings)
        self.drawn += 1
        return settings

    def _child(self, population: Population) -> dict[str, Any]:
        """The settings of a child; creates its run folder with the parent's checkpoint."""
        number, trials = self._count, self._ledger.parent / "trials"
        parent, epoch, settings = population.child(number, self._settings)
        settings = {**self._own.to_run(parent), **settings}
        self._own.began(number, settings)
        config = trial_config(self._config.model_dump(mode="json"), settings)
        continue_from(trials / trial_id(parent), trials / trial_id(number), epoch, config)
        population.born()
        self._add(None, settings)
        begun = {"params": settings, "parent": parent, "from_epoch": epoch}
        append_event(self._ledger, "started", trial_id(number), **begun)
        return settings

    def _add(
        self, trial: Trial | None, settings: Mapping[str, Any], leader: int | None = None
    ) -> None:
        self._open[self._count] = _Open(trial, again=leader is not None)
        self._settings[self._count] = dict(settings)
        self._count += 1
        if leader is not None:
            self._leaders.begun(leader)

    def _report(self, number: int, report: Report) -> bool:
        at = self._open[number]
        at.last = report
        if self._population is not None:
            latest = report.value if report.latest is None else report.latest
            ends = self._population.reported(number, report.epoch, latest)
            if ends:
                needed = self._population.needed(report.epoch)
                more = f", among the poorest quarter: {needed:.4g} was needed"
                at.pruned = Pruned(report.epoch, latest, needed, more)
            return ends
        if at.trial is None or not self.suggester.prunes(at.trial, report):
            return False
        at.pruned = why_pruned(self.suggester.trials, at.trial.number, report, self._config.study)
        return True

    def _end(self, number: int, state: str) -> None:
        at = self._open.pop(number)
        if self._population is not None:
            self._population.ended(number)
        if at.trial is not None:
            self.suggester.tell(at.trial, state, at.last)
        may_lead = not at.again and self._population is None and at.is_feasible
        if state == "completed" and at.last and math.isfinite(at.last.value) and may_lead:
            self._leaders.completed(number, at.last.value, self._settings[number])

    def _tell_watcher(self, event: str, number: int, error: str | None = None) -> None:
        at = self._open[number]
        can_lead = not at.again and at.is_feasible
        self._on_trial(
            TrialNews(event, number, trial_id(number), at.last, can_lead, error, at.again)
        )
