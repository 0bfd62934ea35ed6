"""What a person sees while something runs: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from collections.abc import Iterator, Mapping
from typing import TYPE_CHECKING, Self

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from famus_ray.loop import EpochReport

if TYPE_CHECKING:
    from famus_ray.scale.search import TrialNews

__all__ = ["EpochProgress", "StudyProgress"]

_SECONDS_BETWEEN_LINES = 5.0
_ENDS = ("completed", "pruned", "failed")


class _Bar:
    """A rich bar on standard error; silent where that is no terminal."""

    def __init__(self, label: str, total: int, *columns: ProgressColumn) -> None:
        self.console = Console(stderr=True)
        self.live = self.console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[news]}"),
            TimeElapsedColumn(),
            *columns,
            console=self.console,
            disable=not self.live,
        )
        self._task = self._progress.add_task(label, total=total, news="")
        self._label, self._total = label, total
        self._last_line = 0.0

    def __enter__(self) -> Self:
        self._progress.start()
        return self

    def __exit__(self, *error: object) -> None:
        self._progress.stop()

    def show(self, completed: float, news: str) -> None:
        """Move the bar; without a terminal, a line now and then, and always the last."""
        self._progress.update(self._task, completed=completed, news=news)
        now = time.monotonic()
        due = now - self._last_line > _SECONDS_BETWEEN_LINES or completed >= self._total
        if not self.live and due and completed == int(completed):
            self._last_line = now
            line = f"{self._label} {completed:.0f}/{self._total}  {news}"
            self.console.print(line, highlight=False, soft_wrap=True)


class EpochProgress(_Bar):
    """Progress of one run: give `on_epoch` and `on_step` to the training."""

    def __init__(self, label: str, epochs: int) -> None:
        super().__init__(label, epochs, TimeRemainingColumn())
        self._news = ""

    def on_epoch(self, report: EpochReport) -> None:
        m = report.metrics
        held_out = m.get("validation/top1")
        validation = f"  validation {held_out:.2%}" if held_out is not None else ""
        self._news = f"loss {m['train/loss']:.3f}{validation}  test {m['test/top1']:.2%}"
        self.show(report.epoch, self._news)

    def on_step(self, epoch: int, step: int, steps: int) -> None:
        if self.live:
            self.show(epoch - 1 + step / steps, self._news)


class StudyProgress(_Bar):
    """Progress of a study, from what its ledger is told: give `on_trial` to it.

    Args:
        trials: how many there will be.
        ended: how many had ended before, by state.
        best: value and number of the best trial before.
    """

    def __init__(
        self,
        trials: int,
        ended: Mapping[str, int] | None = None,
        best: tuple[float, int] | None = None,
    ) -> None:
        super().__init__("trials", trials)
        self._ended = {s: n for s, n in (ended or {}).items() if s in _ENDS}
        self._before = sum(self._ended.values())
        self._best = best
        self._running: set[int] = set()
        self._began: float | None = None

    def on_trial(self, news: TrialNews) -> None:
        if news.event == "started":
            self._running.add(news.number)
            self._began = self._began or time.monotonic()
        value = news.value
        # Of equals the first trial, as in the table.
        if (
            value is not None
            and news.can_lead
            and (self._best is None or (value, -news.number) > (self._best[0], -self._best[1]))
        ):
            self._best = (value, news.number)
        if news.event in _ENDS:
            self._running.discard(news.number)
            self._ended[news.event] = self._ended.get(news.event, 0) + 1
        self.show(sum(self._ended.values()), "  ".join(self._parts()))

    def _parts(self) -> Iterator[str]:
        if self._best:
            yield f"best {self._best[0]:.4f} (trial {self._best[1]})"
        if self._running:
            yield f"{len(self._running)} running"
        for state, count in sorted(self._ended.items()):
            yield f"{count} {state}"
        done = sum(self._ended.values())
        if done > self._before and self._began is not None:
            hours = (time.monotonic() - self._began) / 3600
            pace = (done - self._before) / hours
            yield f"{pace:.0f} trials/h"
            if done < self._total:
                yield f"{_span((self._total - done) / pace)} left"


def _span(hours: float) -> str:
    minutes = hours * 60
    if hours >= 1:
        return f"{hours:.1f} h"
    return f"{minutes:.0f} min" if minutes >= 2 else f"{minutes * 60:.0f} s"
