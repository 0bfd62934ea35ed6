"""Progress of a study: one view in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections import Counter
from collections.abc import Iterator, Sequence
from dataclasses import dataclass, field
from pathlib import Path
from typing import TYPE_CHECKING

import pandas as pd
from rich.console import Console, Group, RenderableType
from rich.table import Table
from rich.text import Text

from famus_ray.config.schema import Config
from famus_ray.progress.epoch_bar import Bar
from famus_ray.reading.folders import load_trials
from famus_ray.reading.trials import best_of
from famus_ray.records.ledger import FINAL
from famus_ray.records.saved_space import saved_space

if TYPE_CHECKING:
    from famus_ray.scale.reports import TrialNews

__all__ = ["StudyProgress", "progress_of", "spark_line"]

_LEVELS = "▁▂▃▄▅▆▇█"
_MOST_TRIALS = 8  # with a line of their own


@dataclass
class _Running:
    epoch: int = 0
    seconds: float = 0.0
    values: list[float] = field(default_factory=list)
    again: bool = False  # trains a leader with a further seed


class StudyProgress(Bar):
    """The progress of a study; pass its `on_trial` to the study.

    Args:
        config: that every trial starts from.
        trials: planned number of trials.
        earlier: table of the trials of a resumed study.
        console: standard error by default.
    """

    def __init__(
        self,
        config: Config,
        trials: int,
        earlier: pd.DataFrame | None = None,
        console: Console | None = None,
    ) -> None:
        super().__init__("trials", trials, console=console)
        self._config = config
        self._running: dict[int, _Running] = {}
        self._ended: Counter[str] = Counter()
        self._values: dict[int, float] = {}  # of the trials that may be the best
        self._seconds = 0.0  # training time of ended trials
        if earlier is not None:
            self._ended.update(state for state in earlier["state"] if state in FINAL)
            self._seconds = float(earlier["seconds"].sum())
            best = best_of(earlier)
            self._values = {} if best is None else {best.number: best.value}
        self._before = self._ended.total()
        self._began: float | None = None

    def on_trial(self, news: TrialNews) -> None:
        self.total = max(self.total, news.number + 1)  # children of pbt are additional trials
        if news.event == "started":
            self._seconds += self._running.pop(news.number, _Running()).seconds  # tried again
            self._running[news.number] = _Running(again=news.again)
            self._began = self._began or time.monotonic()
        elif news.event == "reported":
            trial = self._running.setdefault(news.number, _Running())
            if news.report is not None:
                trial.epoch, trial.seconds = news.epoch, news.report.seconds
                latest = news.report.latest
                trial.values.append(news.report.value if latest is None else latest)
        value = news.value
        if news.event == "failed":
            self._values.pop(news.number, None)
        elif value is not None and news.can_lead:
            self._values[news.number] = value
        if news.event in FINAL:
            self._seconds += self._running.pop(news.number, _Running()).seconds
            self._ended[news.event] += 1
        self.show(self._ended.total(), "  ".join(self._parts()))

    def view(self) -> RenderableType:
        """The bar, the study's results so far, and a line for each running trial."""
        trials = Table.grid(padding=(0, 2))
        for number, trial in list(self._running.items())[:_MOST_TRIALS]:
            latest = f"{trial.values[-1]:.4f}" if trial.values else ""
            epochs = f"{trial.epoch}/{self._config.schedule.epochs}"
            what = "leader again" if trial.again else "trial"
            trials.add_row(f"{what} {number}", epochs, spark_line(trial.values), latest)
        more = len(self._running) - _MOST_TRIALS
        if more > 0:
            trials.add_row(f"and {more} more")
        return Group(self.bar, Text("  ".join(self._parts())), trials)

    def _parts(self) -> Iterator[str]:
        if self._values:  # ties go to the first trial, as in the table
            number = max(self._values, key=lambda number: (self._values[number], -number))
            yield f"best {self._values[number]:.4f} (trial {number})"
        if self._running:
            yield f"{len(self._running)} running"
        if again := sum(trial.again for trial in self._running.values()):
            yield f"{again} of them leaders with further seeds"
        for state in FINAL:
            if self._ended[state]:
                yield f"{self._ended[state]} {state}"
        done = self._ended.total()
        left = max(0, self.total - done)
        if done > self._before and self._began is not None:
            hours = (time.monotonic() - self._began) / 3600
            pace = (done - self._before) / hours
            yield f"{pace:.0f} trials/h"
            if left:
                yield f"{_span(left / pace)} left"
        used = self._seconds + sum(trial.seconds for trial in self._running.values())
        if used:
            to_come = (
                f", {self._hours(self._seconds / done * left)} to come" if done and left else ""
            )
            yield f"{self._device}-hours {self._hours(used)} used{to_come}"

    @property
    def _device(self) -> str:
        return "GPU" if self._config.scale.gpus_per_worker else "CPU"

    def _hours(self, seconds: float) -> str:
        scale = self._config.scale
        each = scale.gpus_per_worker or scale.cpus_per_worker
        return f"{seconds / 3600 * scale.workers * each:.2g}"


def progress_of(
    path: Path,
    overrides: tuple[str, ...] = (),
    more_trials: int = 0,
    console: Console | None = None,
) -> StudyProgress:
    """The progress of an existing study.

    Args:
        path: the study's folder.
        overrides: `section.key=value` from the command line.
        more_trials: number of trials to add.
        console: standard error by default.
    """
    space = saved_space(path, overrides)
    planned = space.planned_runs() + more_trials
    return StudyProgress(space.base.config, planned, load_trials(path), console)


def spark_line(values: Sequence[float], width: int = 20) -> str:
    """The last `width` values as a line of bars, scaled from their minimum to their maximum."""
    shown = values[-width:]
    if not shown:
        return ""
    low, span = min(shown), max(shown) - min(shown)
    top = len(_LEVELS) - 1
    return "".join(_LEVELS[round((v - low) / span * top) if span else top // 2] for v in shown)


def _span(hours: float) -> str:
    minutes = hours * 60
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{minutes:.0f} min" if minutes >= 2 else f"{minutes * 60:.0f} s"
