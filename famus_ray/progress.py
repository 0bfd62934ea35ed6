"""What a person sees while something runs: a bar in a terminal, plain lines elsewhere."""

from __future__ import annotations

import time

from rich.console import Console
from rich.progress import (
    BarColumn,
    MofNCompleteColumn,
    Progress,
    TextColumn,
    TimeElapsedColumn,
    TimeRemainingColumn,
)

from famus_ray.loop import EpochReport

__all__ = ["EpochProgress", "StudyProgress"]

_SECONDS_BETWEEN_LINES = 5.0


class _Bar:
    """A rich bar on standard error; silent where that is no terminal."""

    def __init__(self, label: str, total: int) -> None:
        self.console = Console(stderr=True)
        self.live = self.console.is_terminal
        self._progress = Progress(
            TextColumn("{task.description}"),
            BarColumn(),
            MofNCompleteColumn(),
            TextColumn("{task.fields[news]}"),
            TimeElapsedColumn(),
            TimeRemainingColumn(),
            console=self.console,
            disable=not self.live,
        )
        self._task = self._progress.add_task(label, total=total, news="")
        self._label, self._total = label, total
        self._last_line = 0.0

    def __enter__(self) -> None:
        self._progress.start()

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
        super().__init__(label, epochs)
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
    """Progress of a study, from what its ledger is told."""

    def __init__(self, trials: int) -> None:
        super().__init__("trials", trials)
        self._ended: dict[str, int] = {}
        self._best: tuple[float, int] | None = None

    def on_trial(self, event: str, number: int, value: float | None) -> None:
        # Of equals the first trial, as in the table.
        if value is not None and (
            self._best is None or (value, -number) > (self._best[0], -self._best[1])
        ):
            self._best = (value, number)
        if event in ("completed", "pruned", "failed"):
            self._ended[event] = self._ended.get(event, 0) + 1
        best = f"best {self._best[0]:.4f} (trial {self._best[1]})" if self._best else ""
        counts = "  ".join(f"{count} {state}" for state, count in sorted(self._ended.items()))
        if event != "started":
            self.show(sum(self._ended.values()), f"{best}  {counts}")
