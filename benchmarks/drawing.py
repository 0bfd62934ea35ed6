"""A plot as SVG text, small enough for a page of the documentation."""

from __future__ import annotations

from collections.abc import Callable, Sequence
from pathlib import Path

import numpy as np

from famus_ray.files import write_text

WIDTH, HEIGHT, LEFT, TOP, RIGHT, BOTTOM = 720, 380, 64, 16, 16, 48


class Plot:
    """Axes over the given spans; what is outside is drawn at their edge."""

    def __init__(self, x: tuple[float, float], y: tuple[float, float], x_title: str) -> None:
        self._x, self._y = x, y
        self._parts = [
            f'<svg xmlns="http://www.w3.org/2000/svg" viewBox="0 0 {WIDTH} {HEIGHT}" '
            'font-family="system-ui, sans-serif" font-size="13">',
            f'<rect width="{WIDTH}" height="{HEIGHT}" fill="white"/>',
        ]
        self.text((x[0] + x[1]) / 2, None, x_title)
        self._labels = 0

    def ticks(
        self, x: Sequence[float], y: Sequence[float], x_text: Callable[[float], str],
        y_text: Callable[[float], str],
    ) -> None:  # fmt: skip
        for tick in y:
            at = self._at(self._x[0], tick)[1]
            self._parts.append(
                f'<path d="M{LEFT} {at:.1f}H{WIDTH - RIGHT}" stroke="#e4e8eb"/>'
                f'<text x="{LEFT - 8}" y="{at + 4:.1f}" text-anchor="end">{y_text(tick)}</text>'
            )
        for tick in x:
            self._parts.append(
                f'<text x="{self._at(tick, 0)[0]:.1f}" y="{HEIGHT - 28}" text-anchor="middle">'
                f"{x_text(tick)}</text>"
            )

    def line(self, x: Sequence[float], y: Sequence[float], colour: str) -> None:
        self._parts.append(
            f'<polyline points="{self._points(x, y)}" fill="none" stroke="{colour}" '
            'stroke-width="2.5"/>'
        )

    def band(
        self, x: Sequence[float], low: Sequence[float], high: Sequence[float], colour: str
    ) -> None:
        around = self._points([*x, *x[::-1]], [*high, *low[::-1]])
        self._parts.append(f'<polygon points="{around}" fill="{colour}" opacity="0.15"/>')

    def dots(self, x: Sequence[float], y: Sequence[float], colour: str) -> None:
        for at_x, at_y in map(self._at, x, y):
            self._parts.append(f'<circle cx="{at_x:.1f}" cy="{at_y:.1f}" r="4" fill="{colour}"/>')

    def label(self, text: str, colour: str) -> None:
        """A line of the legend."""
        x, y = WIDTH - RIGHT - 8, HEIGHT - BOTTOM - 44 + 18 * self._labels
        self._labels += 1
        self._parts.append(f'<text x="{x}" y="{y}" text-anchor="end" fill="{colour}">{text}</text>')

    def text(self, x: float, y: float | None, text: str) -> None:
        at_x, at_y = self._at(x, self._y[0] if y is None else y)
        at_y = HEIGHT - 8 if y is None else at_y
        self._parts.append(f'<text x="{at_x:.0f}" y="{at_y}" text-anchor="middle">{text}</text>')

    def save(self, path: Path) -> None:
        write_text(path, "\n".join([*self._parts, "</svg>"]) + "\n")

    def _points(self, x: Sequence[float], y: Sequence[float]) -> str:
        return " ".join(f"{at_x:.1f},{at_y:.1f}" for at_x, at_y in map(self._at, x, y))

    def _at(self, x: float, y: float) -> tuple[float, float]:
        right = (np.clip(x, *self._x) - self._x[0]) / (self._x[1] - self._x[0])
        up = (np.clip(y, *self._y) - self._y[0]) / (self._y[1] - self._y[0])
        return (
            float(LEFT + (WIDTH - LEFT - RIGHT) * right),
            float(TOP + (HEIGHT - TOP - BOTTOM) * (1 - up)),
        )


def fill(page: Path, section: str, text: str) -> None:
    """Replace what stands between `<!-- section -->` and `<!-- end -->` in a page."""
    whole = page.read_text(encoding="utf-8")
    before, mark, rest = whole.partition(f"<!-- {section} -->\n")
    assert mark, f"{page} has no place for {section}"
    _, end, after = rest.partition("<!-- end -->")
    write_text(page, f"{before}{mark}{text.strip()}\n{end}{after}")
