"""The figures of a report, as plotly figures."""

from __future__ import annotations

import math
from itertools import count
from typing import Any

import pandas as pd
import plotly.graph_objects as go

from famus_ray.config.methods import known_methods, method_named
from famus_ray.reading.lineage import schedule_of
from famus_ray.reading.pareto import pareto_front
from famus_ray.reading.trials import best_of, is_feasible, is_replica, states
from famus_ray.records.ledger import COST, PARAMETER

__all__ = [
    "COLOURS",
    "comparison_figure",
    "curves_figure",
    "epochs_figure",
    "importance_figure",
    "new_figure",
    "pareto_figure",
    "samples_figure",
    "schedule_figure",
    "slices_figure",
    "trial_curves_figure",
]

COLOURS = {name: method_named(name).colour for name in known_methods()}
_BEST = "#d97b29"
_STATE = {
    "completed": "#0b7a75",
    "pruned": "#b9c2c9",
    "failed": "#c0392b",
    "interrupted": "#d9a529",
}
_FEWEST_DECADES = 0.6  # with fewer, ticks at 1, 2 and 5 are too few
_LAYOUT = {
    "template": "plotly_white",
    "font": {"family": "system-ui, sans-serif", "size": 13},
    "margin": {"l": 60, "r": 20, "t": 16, "b": 48},
    "legend": {"orientation": "h", "y": -0.22},
    "height": 380,
}


def trial_curves_figure(curves: pd.DataFrame, trials: pd.DataFrame, metric: str) -> go.Figure:
    """The metric over epochs, one line per trial, dotted for replicas; the best is highlighted."""
    figure = epochs_figure(metric, curves["epoch"])
    best = best_of(trials)
    shown: set[str] = set()
    for (_, row), again in zip(trials.iterrows(), is_replica(trials), strict=True):
        rows = curves[(curves["trial"] == row["trial"]) & (curves["metric"] == metric)]
        rows = rows.groupby("epoch")["value"].mean().reset_index()  # over seeds
        is_best = best is not None and row["trial"] == best.number
        name = "best trial" if is_best else "leader again" if again else str(row["state"])
        figure.add_scatter(
            x=rows["epoch"],
            y=rows["value"],
            mode="lines+markers",
            marker={"size": 4},
            line={
                "width": 3.5 if is_best else 1.5,
                "color": _line_colour(row, is_best),
                "dash": "dot" if again else "solid",
            },
            name=name,
            legendgroup=name,
            showlegend=name not in shown,
            hovertemplate=f"trial {row['trial']}<br>epoch %{{x}}: %{{y:.4f}}<extra></extra>",
        )
        shown.add(name)
    return figure


def schedule_figure(trials: pd.DataFrame, setting: str, *, log: bool) -> go.Figure:
    """A setting that pbt changed, over epochs.

    One line per completed trial, continued by its ancestors' values; the best is highlighted.
    """
    best = best_of(trials)
    number = -1 if best is None else best.number
    shown = trials[trials["state"].eq("completed") | trials["trial"].eq(number)]["trial"]
    best_last = sorted(shown, key=lambda n: n == number)
    lines = {n: schedule_of(trials, n, setting) for n in best_last}
    figure = epochs_figure(setting, trials["epochs"])
    for n, line in lines.items():
        figure.add_scatter(
            x=line.index, y=line, mode="lines+markers", marker={"size": 4}, showlegend=False,
            line={
                "shape": "vh",
                "width": 3.5 if n == number else 1.5,
                "color": _BEST if n == number else _STATE["pruned"],
            },
            hovertemplate=f"trial {n}<br>epoch %{{x}}: %{{y:.4g}}<extra></extra>",
        )  # fmt: skip
    if log and lines:
        figure.update_yaxes(_log_axis(pd.concat(lines.values())))
    return figure.update_layout(height=300)


def comparison_figure(curves: pd.DataFrame, metric: str) -> go.Figure:
    """The mean over seeds of each method, with a band of one standard deviation."""
    figure = epochs_figure(metric, curves["epoch"])
    for method, rows in curves.groupby("method"):
        over_seeds = rows.groupby("epoch")["value"].agg(["mean", "std"]).fillna(0.0).reset_index()
        low, high = over_seeds["mean"] - over_seeds["std"], over_seeds["mean"] + over_seeds["std"]
        colour = COLOURS.get(str(method), "#444444")
        figure.add_scatter(
            x=[*over_seeds["epoch"], *over_seeds["epoch"][::-1]],
            y=[*high, *low[::-1]],
            fill="toself",
            fillcolor=_faint(colour),
            line={"width": 0},
            hoverinfo="skip",
            showlegend=False,
        )
        figure.add_scatter(
            x=over_seeds["epoch"], y=over_seeds["mean"], name=str(method),
            line={"width": 3, "color": colour},
        )  # fmt: skip
    settled = curves[curves["epoch"] > curves["epoch"].max() / 4]["value"]
    return figure.update_yaxes(
        range=[max(0.0, settled.min() - 0.02), min(1.0, settled.max() + 0.02)]
    )


def pareto_figure(trials: pd.DataFrame, cost: str, metric: str) -> go.Figure:
    """The metric over one cost: a point per completed trial, and the Pareto front as a line.

    Points of trials that break a constraint are hollow.
    """
    figure = new_figure(cost.removeprefix(COST), metric)
    done, front = trials[trials["state"] == "completed"], pareto_front(trials)
    for name, rows, mode, colour in (
        ("completed", done, "markers", "#b9c2c9"),
        ("Pareto front", front.sort_values(cost), "lines+markers", "#d97b29"),
    ):
        figure.add_scatter(
            x=rows[cost], y=rows["value"], mode=mode, name=name, customdata=rows["trial"],
            marker={
                "size": 9, "color": colour,
                "symbol": _symbols(rows),
            },
            hovertemplate="trial %{customdata}<br>%{x:.4g}: %{y:.4f}<extra></extra>",
        )  # fmt: skip
    return figure


def importance_figure(shares: pd.DataFrame) -> go.Figure:
    """One bar per setting: its share of the variance, with its interval as an error bar."""
    figure = new_figure("share of the variance", "")
    ordered = shares[::-1]
    figure.add_bar(
        x=ordered["share"], y=ordered.index, orientation="h", marker_color="#0b7a75",
        error_x={
            "array": (ordered["high"] - ordered["share"]).clip(lower=0),
            "arrayminus": (ordered["share"] - ordered["low"]).clip(lower=0),
            "color": "#5d6b78",
        },
        hovertemplate="%{y}: %{x:.2f}<extra></extra>",
    )  # fmt: skip
    height = min(380, 100 + 40 * len(shares))
    return figure.update_layout(height=height, margin={"l": 150, "r": 20, "t": 16, "b": 48})


def slices_figure(trials: pd.DataFrame, setting: str, *, log: bool) -> go.Figure:
    """The value of each trial over one setting, coloured by state.

    Points of trials that break a constraint are hollow.

    Args:
        trials: `load_trials`.
        setting: by dotted key.
        log: whether the axis of the setting is logarithmic.
    """
    figure = new_figure(setting, "value")
    given = trials[PARAMETER + setting].astype(object)
    numbers = pd.to_numeric(given, errors="coerce")
    has_words = bool((given.notna() & numbers.isna()).any())
    for state, rows in trials[given.notna()].groupby(states(trials)):
        figure.add_scatter(
            x=given[rows.index].astype(str if has_words else float),
            y=rows["value"],
            mode="markers",
            marker={
                "size": 9,
                "color": _STATE.get(str(rows["state"].iloc[0]), "#444444"),
                "symbol": _symbols(rows),
            },
            name=str(state),
            customdata=rows["trial"],
            hovertemplate="trial %{customdata}<br>%{x}: %{y:.4f}<extra></extra>",
        )
    if log:
        figure.update_xaxes(_log_axis(numbers))
    elif not has_words and numbers.notna().any() and numbers.dropna().mod(1).eq(0).all():
        figure.update_xaxes(tick0=0, dtick=_whole_step(numbers.max() - numbers.min()))
    return figure.update_layout(height=300, legend={"y": -0.4}, margin={"b": 80})


def curves_figure(curves: pd.DataFrame, quantity: str) -> go.Figure:
    """One quantity of a run over epochs, one line per split."""
    figure = epochs_figure(quantity, curves["epoch"])
    for metric, rows in curves.groupby("metric", observed=True):
        if str(metric).endswith(f"/{quantity}"):
            name = str(metric).removesuffix(f"/{quantity}")
            figure.add_scatter(x=rows["epoch"], y=rows["value"], name=name, line={"width": 2.5})
    return figure


def samples_figure(samples: pd.DataFrame, column: str) -> go.Figure:
    """Histograms of a column over examples with right and with wrong labels."""
    figure = new_figure(column, "examples")
    right = samples["label"] == samples["true_label"]
    for name, chosen, colour in (
        ("right label", right, "#0b7a75"),
        ("wrong label", ~right, "#c0392b"),
    ):
        figure.add_histogram(
            x=samples.loc[chosen, column], name=name, nbinsx=40, opacity=0.65, marker_color=colour
        )
    return figure.update_layout(barmode="overlay")


def new_figure(x: str, y: str) -> go.Figure:
    """An empty figure with these axis titles, in the report's style."""
    return go.Figure(layout={**_LAYOUT, "xaxis": {"title": x}, "yaxis": {"title": y}})


def epochs_figure(y: str, epochs: pd.Series) -> go.Figure:
    """An empty figure with an axis of epochs; its ticks are whole numbers."""
    last = 1 if epochs.empty else int(epochs.max())
    return new_figure("epoch", y).update_xaxes(tick0=0, dtick=_whole_step(last))


def _log_axis(values: pd.Series) -> dict[str, Any]:
    """A logarithmic axis whose tick labels do not overlap."""
    positive = values[values > 0]
    decades = math.log10(positive.max() / positive.min()) if len(positive) else 0.0
    if decades < _FEWEST_DECADES:
        return {"type": "log"}
    factors = (1, 2, 5) if decades <= 1.5 else (1, 3) if decades <= 3 else (1,)
    powers = range(math.floor(math.log10(positive.min())), math.ceil(math.log10(positive.max())))
    ticks = [f * 10.0**p for p in (*powers, powers.stop) for f in factors]
    return {"type": "log", "tickvals": ticks, "ticktext": [f"{tick:g}" for tick in ticks]}


def _whole_step(span: float) -> int:
    """The distance between ticks at whole numbers, for at most about ten ticks."""
    steps = (factor * 10**power for power in count() for factor in (1, 2, 5))
    step: int = next(step for step in steps if span <= 10 * step)
    return step


def _symbols(trials: pd.DataFrame) -> list[str]:
    return ["circle" if kept else "circle-open" for kept in is_feasible(trials)]


def _line_colour(row: pd.Series, is_best: bool) -> str:
    return _BEST if is_best else _STATE.get(str(row["state"]), "#444444")


def _faint(colour: str) -> str:
    red, green, blue = (int(colour[i : i + 2], 16) for i in (1, 3, 5))
    return f"rgba({red},{green},{blue},0.15)"
