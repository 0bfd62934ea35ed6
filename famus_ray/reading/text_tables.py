"""Tables as Markdown and LaTeX."""

from __future__ import annotations

import math
from collections.abc import Sequence
from typing import TYPE_CHECKING, Any

import pandas as pd

if TYPE_CHECKING:
    from famus_ray.reading.comparison import Comparison

__all__ = ["comparison_latex", "comparison_markdown", "label", "latex", "markdown"]

_LATEX = {
    "\\": r"\textbackslash{}", "&": r"\&", "%": r"\%", "$": r"\$", "#": r"\#", "_": r"\_",
    "{": r"\{", "}": r"\}", "~": r"\textasciitilde{}", "^": r"\textasciicircum{}",
    "±": r"$\pm$", "<": r"$<$", ">": r"$>$",
}  # fmt: skip


def markdown(frame: pd.DataFrame) -> str:
    """The frame as a table of Markdown; numbers are on the right."""
    names = [_one_line(name).replace("|", "\\|") for name in frame]
    bars = ["---:" if _is_number(frame, at) else "---" for at in range(frame.shape[1])]
    rows = [[_one_line(cell).replace("|", "\\|") for cell in row] for row in _cells(frame)]
    return "".join(f"| {' | '.join(row)} |\n" for row in [names, bars, *rows])


def latex(frame: pd.DataFrame) -> str:
    """The frame as a tabular of LaTeX, with the rules of booktabs."""
    places = "".join("r" if _is_number(frame, at) else "l" for at in range(frame.shape[1]))
    head, *rows = [[_escaped(cell) for cell in row] for row in [[*frame], *_cells(frame)]]
    return _tabular(places, head, rows)


def comparison_markdown(found: Comparison) -> str:
    """Methods by conditions, ranks where there are several conditions, and the tests."""
    heads, rows, best = _by_conditions(found)
    cells = [
        [name, *(f"**{c}**" if (at, i) in best else c for i, c in enumerate(own))]
        for at, (name, *own) in enumerate(rows)
    ]
    parts = [markdown(pd.DataFrame(cells, columns=heads)), f"{_caption(found)}\n"]
    if len(found.ranks.columns) > 2:
        parts.append(markdown(found.ranks.reset_index()))
    if len(found.tests):
        parts.append(markdown(found.tests))
    return "\n".join(parts)


def comparison_latex(found: Comparison) -> str:
    """Methods by conditions; the caption's words are in a comment above."""
    heads, rows, best = _by_conditions(found)
    cells = [
        [_escaped(name), *(_bold(_escaped(c), (at, i) in best) for i, c in enumerate(own))]
        for at, (name, *own) in enumerate(rows)
    ]
    places = "l" + "r" * (len(heads) - 1)
    return f"% {_caption(found)}\n{_tabular(places, [*map(_escaped, heads)], cells)}"


def label(values: Sequence[Any]) -> str:
    """Values of settings as the name of a method or condition."""
    return " ".join(f"{v:g}" if isinstance(v, float) else str(v) for v in values)


def _by_conditions(
    found: Comparison,
) -> tuple[list[str], list[list[str]], set[tuple[int, int]]]:
    """Heads, rows of a method's name and its cells, and the places of each condition's best."""
    table, percent = found.table, found.measure != "seconds_per_step"
    conditions = [label(row) for row in table[[*found.over]].itertuples(index=False)]
    methods = [label(row) for row in table[[*found.by]].itertuples(index=False)]
    columns, names = list(dict.fromkeys(conditions)), list(found.ranks.index)
    cells = [[name, *[""] * len(columns)] for name in names]
    best = set()
    for place, row in enumerate(table.itertuples(index=False)):
        at, column = names.index(methods[place]), columns.index(conditions[place])
        cells[at][column + 1] = _mean_and_std(row.mean, row.std, row.seeds, percent)  # type: ignore[arg-type]
        if conditions[place] not in conditions[:place]:
            best.add((at, column))
    heads = [", ".join(found.by), *(c or found.measure for c in columns)]
    return heads, cells, best


def _mean_and_std(mean: float, std: float, seeds: int, percent: bool) -> str:
    spread = "" if math.isnan(std) else f" ± {std * 100:.2f}" if percent else f" ± {std:.2g}"
    return (f"{mean * 100:.2f}" if percent else f"{mean:.4g}") + f"{spread} ({seeds})"


def _caption(found: Comparison) -> str:
    unit = "" if found.measure == "seconds_per_step" else "In %: "
    return f"{unit}{found.method}; in brackets the number of seeds."


def _tabular(places: str, head: Sequence[str], rows: Sequence[Sequence[str]]) -> str:
    lines = [" & ".join(row) + r" \\" for row in (head, *rows)]
    body = "\n".join(lines[1:])
    return (
        f"\\begin{{tabular}}{{{places}}}\n\\toprule\n{lines[0]}\n\\midrule\n"
        f"{body}\n\\bottomrule\n\\end{{tabular}}\n"
    )


def _bold(text: str, wanted: bool) -> str:
    return f"\\textbf{{{text}}}" if wanted else text


def _escaped(cell: Any) -> str:
    return "".join(_LATEX.get(letter, letter) for letter in _one_line(cell))


def _cells(frame: pd.DataFrame) -> list[list[str]]:
    return [[_shown(value) for value in row] for row in frame.itertuples(index=False, name=None)]


def _shown(value: Any) -> str:
    if pd.api.types.is_scalar(value) and pd.isna(value):
        return ""
    return f"{value:.4g}" if isinstance(value, float) else str(value)


def _one_line(value: Any) -> str:
    return " ".join(str(value).split())


def _is_number(frame: pd.DataFrame, at: int) -> bool:
    column = frame.iloc[:, at]
    is_bool = pd.api.types.is_bool_dtype(column)
    return pd.api.types.is_numeric_dtype(column) and not is_bool
