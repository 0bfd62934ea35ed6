"""The search of a study: the searcher suggests and prunes, the ledger remembers.

Everything that happens is written to the ledger first and told to the searcher then. A search on a
ledger that is there already replays it through the same code, so that searcher and pruner
stand where they stood. What the searcher draws for a trial follows from the study's seed and
the trial's number, not from what was drawn before.
"""

from __future__ import annotations

import math
from collections import deque
from collections.abc import Iterable, Mapping
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from optuna.trial import Trial

from famus_ray.config.schema import Config
from famus_ray.config.space import Space
from famus_ray.config.trial_config import trial_config
from famus_ray.errors import UserError
from famus_ray.ledger import FINAL, append_event, read_events
from famus_ray.scale.leaders import Leaders
from famus_ray.scale.population import Population, continue_from
from famus_ray.scale.reports import OnTrial, Report, TrialNews, trial_id
from famus_ray.scale.searcher import Searcher, why_pruned

__all__ = ["Search"]


@dataclass
class _Open:
    """A trial under way, without one of Optuna's where the searcher did not draw it.

    Attributes:
        again: it trains a leader with a further seed.
        reason: why it should end, where it should.
    """

    trial: Trial | None
    settings: dict[str, Any]
    again: bool = False
    last: Report | None = None
    reason: str = ""

    @property
    def is_feasible(self) -> bool:
        return self.last is None or all(excess <= 0 for excess in self.last.excess.values())


class Search:
    """Suggests the trials of a study, is told what comes of them, and says which to prune.

    One process holds the ledger while it has a search.

    Attributes:
        drawn: trials that were begun, without children and the leaders' further seeds.
        searcher: knows every drawn trial as far as the ledger does.
    """

    def __init__(self, space: Space, ledger: Path, on_trial: OnTrial = lambda news: None) -> None:
        self._space = space
        self._config: Config = space.base.config
        self._ledger = ledger
        self._on_trial: OnTrial = lambda news: None
        self._fixed = space.grid() if self._config.study.searcher == "grid" else space.points
        self._planned = space.planned_trials()
        self._open: dict[int, _Open] = {}
        self.drawn = self._count = 0
        self._leaders = Leaders(self._config)
        self._settings: list[dict[str, Any]] = []  # of all trials
        is_pbt = self._config.study.scheduler == "pbt"
        self._population = Population(self._config, space.entries) if is_pbt else None
        self.searcher = Searcher(space, "random" if is_pbt else self._config.study.searcher)
        self._replay(read_events(ledger))
        self._waiting = deque(sorted(self._open))
        self._on_trial = on_trial

    def __getstate__(self) -> dict[str, Any]:
        """Tune pickles those that know a search into snapshots that nobody reads."""
        return {}

    @property
    def left(self) -> int:
        """Trials to run, at most: those that have not ended, and the new ones."""
        study, drawn = self._config.study, max(0, self._planned - self.drawn)
        over = not drawn and not self.may_go_on
        more = self._leaders.left if over else study.leaders * study.leader_seeds
        if self._population is not None:
            most = self._planned * (self._config.schedule.epochs // study.exploit_every)
            more = most if drawn or self._open or self._population.due else 0
        return len(self._open) + drawn + more

    @property
    def may_go_on(self) -> bool:
        """Whether there may be more trials to run when those under way have ended."""
        searched = any(not trial.again for trial in self._open.values())
        return searched and (self._population is not None or self._config.study.leaders > 0)

    def suggest(self) -> tuple[int, dict[str, Any]] | None:
        """Number and settings of a trial to run; None when there is none now."""
        if self._waiting:
            number = self._waiting.popleft()
            return number, self._open[number].settings
        number = self._count
        if self._population is not None and self._population.due:
            return number, self._child(self._population)
        if self.drawn < self._planned:
            given = self._fixed[self.drawn] if self.drawn < len(self._fixed) else None
            settings = self._draw(given)
            append_event(self._ledger, "started", trial_id(number), params=settings)
            return number, settings
        again = None if self.may_go_on else self._leaders.next()
        if again is None:
            return None
        leader, settings = again
        self._add(None, settings, leader=leader)
        append_event(self._ledger, "started", trial_id(number), params=settings, replicates=leader)
        return number, settings

    def begun(self, number: int) -> None:
        """A process has taken up the trial."""
        append_event(self._ledger, "attempt", trial_id(number))
        self._tell_watcher("started", number)

    def reported(self, number: int, report: Report) -> bool:
        """A trial has finished an epoch; whether it should end here."""
        append_event(
            self._ledger, "reported", trial_id(number), epoch=report.epoch,
            value=report.value if math.isfinite(report.value) else None,
            seconds=round(report.seconds, 3), node=report.node, latest=report.latest,
            **({} if report.value_std is None else {"value_std": report.value_std}),
            **({"costs": dict(report.costs)} if report.costs else {}),
            **({"excess": dict(report.excess)} if report.excess else {}),
        )  # fmt: skip
        should_end = self._report(number, report)
        self._tell_watcher("reported", number)
        return should_end

    def ended(
        self, number: int, state: str, error: str | None = None, *, lost: bool = False
    ) -> None:
        """A trial is completed, pruned or failed.

        Args:
            lost: it failed because its process or node did; a study that is resumed tries again.
        """
        reason = self._open[number].reason if state == "pruned" and error is None else None
        details = {"reason": reason, "error": error, "lost": lost or None}
        known = {key: value for key, value in details.items() if value}
        append_event(self._ledger, state, trial_id(number), **known)
        self._tell_watcher(state, number, error)
        self._end(number, state)

    def _replay(self, events: Iterable[Mapping[str, Any]]) -> None:
        for event in events:
            if "trial_id" not in event:
                continue
            number = int(event["trial_id"])
            if number > self._count - (event["event"] != "started"):
                raise UserError(
                    f"{self._ledger}: the line that began trial {trial_id(self._count)} cannot be "
                    "read; put back a whole copy of the file, or begin a new study"
                )
            if event["event"] == "started" and "replicates" in event:
                self._add(None, event["params"], leader=event["replicates"])
            elif event["event"] == "started" and "parent" in event and self._population:
                self._population.born()
                self._add(None, event["params"])
            elif event["event"] == "started":
                self._draw(event["params"], again=True)
            elif event["event"] == "reported" and number in self._open:
                value = math.nan if event["value"] is None else event["value"]
                more = {name: event.get(name, {}) for name in ("costs", "excess")}
                report = Report(event["epoch"], value, latest=event.get("latest"), **more)
                self._report(number, report)
            elif event["event"] in FINAL and number in self._open and not event.get("lost"):
                self._end(number, event["event"])

    def _draw(self, given: Mapping[str, Any] | None, *, again: bool = False) -> dict[str, Any]:
        trial, settings = self.searcher.draw(self.drawn, given, again=again)
        self._add(trial, settings)
        self.drawn += 1
        return settings

    def _child(self, population: Population) -> dict[str, Any]:
        """The settings of a child, whose run folder stands at the epoch that it goes on from."""
        number, trials = self._count, self._ledger.parent / "trials"
        parent, epoch, settings = population.child(number, self._settings)
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
        self._open[self._count] = _Open(trial, dict(settings), again=leader is not None)
        self._settings.append(dict(settings))
        self._count += 1
        if leader is not None:
            self._leaders.begun(leader)

    def _report(self, number: int, report: Report) -> bool:
        at = self._open[number]
        at.last = report
        if self._population is not None and math.isfinite(report.value):
            latest = report.value if report.latest is None else report.latest
            ends = self._population.reported(number, report.epoch, latest)
            at.reason = f"among the poorest quarter at epoch {report.epoch}: {latest:.4g}"
            return ends
        if at.trial is None or not self.searcher.prunes(at.trial, report):
            return False
        at.reason = why_pruned(self.searcher.trials, at.trial.number, report, self._config.study)
        return True

    def _end(self, number: int, state: str) -> None:
        at = self._open.pop(number)
        if self._population is not None:
            self._population.ended(number)
        if at.trial is None:
            return
        self.searcher.tell(at.trial, state, at.last)
        if state == "completed" and at.last is not None and at.is_feasible:
            self._leaders.completed(number, at.last.value, at.settings)

    def _tell_watcher(self, event: str, number: int, error: str | None = None) -> None:
        at = self._open[number]
        can_lead = not at.again and at.is_feasible
        self._on_trial(
            TrialNews(event, number, trial_id(number), at.last, can_lead, error, at.again)
        )
