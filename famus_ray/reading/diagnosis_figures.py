"""Figures of a run's diagnostics: its gates, its meta gradient, and the weights it learned."""

from __future__ import annotations

import pandas as pd
import plotly.graph_objects as go

from famus_ray.reading.figures import epochs_figure

__all__ = ["diagnosis_figures"]

_SCALE = [[0.0, "#f1f4f6"], [1.0, "#0b7a75"]]
_GRADIENT = {
    "meta/cosine": ("cosine of gated and full", "#0b7a75"),
    "meta/variance": ("variance, gated", "#d97b29"),
    "meta/variance_full": ("variance, full", "#7a7f87"),
}


def diagnosis_figures(curves: pd.DataFrame) -> dict[str, go.Figure]:
    """Figures of a run's diagnostics over epochs, by title.

    They show how often each gate was open, the gated compared with the full meta gradient, and
    the weights of right and of wrong labels. Figures without measurements are left out.

    Args:
        curves: of one run, from `load_curves`.
    """
    figures = {}
    gates = _wide(curves, "gates/").drop(columns="open", errors="ignore")
    if gates.shape[1]:
        figures["Gates: share of the steps at which each was open"] = _heatmap(gates, "")
    gradient = curves[curves["metric"].isin(_GRADIENT)]
    if len(gradient):
        figures["The gated meta gradient beside the full one"] = _lines(gradient)
    for kind in ("right", "wrong"):
        weights = _wide(curves, f"weights/{kind}/").drop(columns="mean", errors="ignore")
        if weights.shape[1]:
            title = f"Weights of {kind} labels: share of the examples"
            figures[title] = _heatmap(weights, "weight, from")
    return figures


def _wide(curves: pd.DataFrame, prefix: str) -> pd.DataFrame:
    """A table of the metrics with a prefix: one row per epoch, one column per metric.

    The columns' names are without the prefix.
    """
    rows = curves[curves["metric"].str.startswith(prefix)]
    table = rows.pivot_table(
        index="epoch", columns="metric", values="value", sort=False, observed=True
    )
    return table.rename(columns=lambda name: str(name).removeprefix(prefix)).sort_index()


def _heatmap(table: pd.DataFrame, y: str) -> go.Figure:
    figure = epochs_figure(y, table.index.to_series())
    figure.add_heatmap(
        z=table.T.to_numpy(), x=table.index, y=list(table.columns), colorscale=_SCALE, zmin=0,
        zmax=max(1e-9, float(table.to_numpy().max())),
        hovertemplate="epoch %{x}, %{y}: %{z:.2f}<extra></extra>",
    )  # fmt: skip
    return figure.update_layout(height=300, margin={"l": 130, "r": 20, "t": 16, "b": 48})


def _lines(rows: pd.DataFrame) -> go.Figure:
    figure = epochs_figure("", rows["epoch"])
    for metric, (name, colour) in _GRADIENT.items():
        chosen = rows[rows["metric"] == metric]
        figure.add_scatter(
            x=chosen["epoch"], y=chosen["value"], name=name, mode="lines+markers",
            line={"width": 2.5, "color": colour},
        )  # fmt: skip
    return figure.update_layout(height=300)
