"""Progress of a run: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time
from typing import Self

from rich.console import Console, Group, RenderableType
from rich.live import Live
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    ProgressColumn,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)
from rich.text import Text

from famus_ray.training.loop import EpochReport

__all__ = ["Bar", "EpochProgress"]

_SECONDS_BETWEEN_LINES = 5.0


class Bar:
    """A progress bar on standard error; plain lines every few seconds if that is no terminal.

    Args:
        label: of the bar.
        total: value of a full bar.
        columns: further columns of the bar.
        console: standard error by default.
    """

    def __init__(
        self, label: str, total: int, *columns: ProgressColumn, console: Console | None = None
    ) -> None:
        self.console = console or Console(stderr=True)
        self.live = self.console.is_terminal
        self.total = total
        self.bar = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TimeElapsedColumn(),
            *columns,
        )
        self._task = self.bar.add_task(label, total=total)
        self._label, self._news = label, ""
        self._last_line = 0.0
        self._screen: Live | None = None

    def __enter__(self) -> Self:
        if self.live:
            self._screen = Live(console=self.console, get_renderable=self.view)
            self._screen.start()
        return self

    def __exit__(self, *error: object) -> None:
        if self._screen is not None:
            self._screen.stop()

    def view(self) -> RenderableType:
        """The content of the terminal: the bar and the latest message."""
        return Group(self.bar, Text(self._news))

    def show(self, completed: float, news: str) -> None:
        """Updates the bar; without a terminal prints a line every few seconds, and the last one."""
        self.bar.update(self._task, completed=completed, total=self.total)
        self._news = news
        now = time.monotonic()
        due = now - self._last_line > _SECONDS_BETWEEN_LINES or completed >= self.total
        if not self.live and due and completed == int(completed):
            self._last_line = now
            line = f"{self._label} {completed:.0f}/{self.total}  {news}"
            self.console.print(line, highlight=False, soft_wrap=True)


class EpochProgress(Bar):
    """The progress of one run; pass its `on_epoch` and `on_step` to the training."""

    def __init__(self, label: str, epochs: int, console: Console | None = None) -> None:
        super().__init__(label, epochs, TimeRemainingColumn(), console=console)

    def on_epoch(self, report: EpochReport) -> None:
        m = report.metrics
        held_out = m.get("validation/top1")
        validation = f"  validation {held_out:.2%}" if held_out is not None else ""
        news = f"loss {m['train/loss']:.3f}{validation}  test {m['test/top1']:.2%}"
        self.show(report.epoch, news)

    def on_step(self, epoch: int, step: int, steps: int) -> None:
        if self.live:
            self.show(epoch - 1 + step / steps, self._news)
