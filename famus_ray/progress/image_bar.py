"""Progress of work on many images: how many are done, and how fast."""

from __future__ import annotations

import time

from rich.console import Console

from famus_ray.progress.epoch_bar import Bar

__all__ = ["ImageProgress"]


class ImageProgress(Bar):
    """A bar of images on standard error; plain lines every few seconds if that is no terminal."""

    def __init__(self, console: Console | None = None) -> None:
        super().__init__("images", 1, console=console)
        self._began = time.monotonic()
        self._before: int | None = None

    def on_images(self, done: int, of: int) -> None:
        """Shows that `done` of `of` images are done; the first call says how many were before."""
        self.total = of
        if self._before is None:
            self._began, self._before = time.monotonic(), done
        rate = (done - self._before) / max(time.monotonic() - self._began, 1e-9)
        self.show(done, f"{rate:,.0f} images/s" if done > self._before else "")
