"""The report of a run or a study: one HTML file that works offline."""

from __future__ import annotations

import warnings
from collections.abc import Mapping
from pathlib import Path
from typing import Any

import pandas as pd
from jinja2 import Environment, PackageLoader, select_autoescape
from markupsafe import Markup

from famus_ray.errors import UserError
from famus_ray.files import write_text
from famus_ray.reading import figures
from famus_ray.reading.diagnosis_figures import diagnosis_figures
from famus_ray.reading.importance import (
    FEWEST_TRIALS,
    comparable_values,
    outcomes,
    parameter_importance,
)
from famus_ray.reading.lineage import changed_settings
from famus_ray.reading.loaded import Loaded, load
from famus_ray.reading.pareto import cost_columns
from famus_ray.reading.ranking import marks, ranked
from famus_ray.reading.retrained import comparison, load_retrained, retrained_curves
from famus_ray.reading.summary import summarise
from famus_ray.reading.trials import is_feasible, is_replica, leaders, state_counts, states
from famus_ray.records.ledger import EXCESS, PARAMETER
from famus_ray.records.tables import CURVES
from famus_ray.spaces.ranges import Range

__all__ = ["write_report"]


def write_report(folder: str | Path) -> Path:
    """Writes `report.html` into the folder of a run or study; returns the file's path.

    Raises:
        UserError: not the folder of a run or study, or it has no results yet.
    """
    found = load(folder)
    path = found.path
    content = _study(found) if found.is_study else _run(found)
    environment = Environment(
        loader=PackageLoader("famus_ray.reading", "templates"),
        autoescape=select_autoescape(["html.j2"]),
    )
    page = environment.get_template("report.html.j2").render(
        name=path.name,
        manifest=_manifest(found),
        config=found.config,
        config_text=(path / "config.yaml").read_text(encoding="utf-8"),
        plotly=Markup(_plotly_source()),  # noqa: S704 - plotly's own script
        **content,
    )
    write_text(path / "report.html", page)
    return path / "report.html"


def _study(found: Loaded) -> dict[str, Any]:
    path, trials, config = found.path, found.trials, found.config
    metric = config["study"]["metric"]
    reported = trials["epochs"].gt(0).any()
    curves = found.curves if reported else pd.DataFrame(columns=["trial", *CURVES.columns])
    comparable, at_epoch = comparable_values(trials, curves, metric)
    ranges = _ranges(found)
    shares = parameter_importance(comparable, ranges)
    retrained = load_retrained(path)
    drawn = trials[~is_replica(trials)]
    searched = drawn.dropna(axis="columns", how="all")
    settings = [str(c).removeprefix(PARAMETER) for c in searched if str(c).startswith(PARAMETER)]
    by_importance = [*shares.index, *(s for s in settings if s not in shares.index)]
    return {
        "kind": "study",
        "subject": _subject(config, ranges),
        "metric": metric,
        "best": found.best,
        "counts": state_counts(trials),
        "settings": settings,
        "drawn": int((trials["parent"].isna() & ~is_replica(trials)).sum()),
        "trials": _records(ranked(trials.assign(shown_state=states(trials), mark=marks(trials)))),
        "constraints": [str(c).removeprefix(EXCESS) for c in trials if str(c).startswith(EXCESS)],
        "infeasible": int((~is_feasible(trials)).sum()),
        "curves": _html(figures.trial_curves_figure(curves, trials, metric)),
        "costs": cost_columns(trials),
        "fronts": [_html(figures.pareto_figure(trials, c, metric)) for c in cost_columns(trials)],
        "schedules": [
            _html(figures.schedule_figure(trials, s, log=_is_log(ranges, s)))
            for s in changed_settings(trials)
        ],
        "children": int(trials["parent"].notna().sum()),
        "importance": _html(figures.importance_figure(shares)) if len(shares) else None,
        "outcomes": _records(outcomes(trials)),
        "fewest": FEWEST_TRIALS,
        "at_epoch": at_epoch,
        "compared": len(comparable),
        "slices": [
            _html(figures.slices_figure(drawn, s, log=_is_log(ranges, s)))
            for s in by_importance[:4]
        ],
        "leaders": _records(leaders(trials)),
        "comparison": _records(comparison(retrained)) if len(retrained) else [],
        "comparison_figure": _html(
            figures.comparison_figure(retrained_curves(path, "test/top1"), "test/top1")
        )
        if len(retrained)
        else None,
    }


def _run(found: Loaded) -> dict[str, Any]:
    curves, config = found.curves, found.config
    samples = found.samples if (found.path / "samples.parquet").is_file() else None
    histograms = []
    if samples is not None:
        samples = samples[samples["epoch"] == samples["epoch"].max()]  # the last division
        samples = samples[samples["true_label"] >= 0]
    if samples is not None and (samples["label"] != samples["true_label"]).any():
        columns = [c for c in ("p_clean", "weight") if samples[c].notna().any()]
        histograms = [_html(figures.samples_figure(samples, c)) for c in columns]
    return {
        "kind": "run",
        "subject": _subject(config, {}),
        "summary": summarise(curves, config["run"]["select"]),
        "curves": _html(figures.curves_figure(curves, "top1")),
        "losses": _html(figures.curves_figure(curves, "loss")),
        "histograms": histograms,
        "diagnosis": {title: _html(f) for title, f in diagnosis_figures(curves).items()},
    }


def _subject(config: Mapping[str, Any], ranges: Mapping[str, Range]) -> dict[str, str]:
    """Method, noise and network for the header; a searched one is shown by its choices."""

    def shown(key: str) -> str:
        section, name = key.split(".")
        entry = ranges.get(key, ranges.get(section))  # `method` is short for `method.name`
        if entry is None:
            return str(config[section][name])
        values = getattr(entry, "values", None)
        return " or ".join(map(str, values)) if values else f"{key} searched"

    kind, rate = shown("noise.kind"), shown("noise.rate")
    percent = f" {float(rate) * 100:g} %" if "noise.rate" not in ranges else f", {rate}"
    noise = "no noise" if kind == "none" else "noise from a file" if kind == "file" else ""
    return {
        "method": shown("method.name"),
        "model": shown("model.name"),
        "noise": noise or f"{kind} noise{percent}",
    }


def _ranges(found: Loaded) -> Mapping[str, Range]:
    """The entries of the current space, used for axes; empty if they cannot be read."""
    try:
        return found.ranges
    except UserError as error:
        warnings.warn(f"{error}; the report does without it", stacklevel=2)
        return {}


def _manifest(found: Loaded) -> dict[str, Any] | None:
    """The manifest, for the header; None, with a warning, if it is damaged."""
    try:
        return found.manifest
    except UserError as error:
        warnings.warn(f"{error}; the report does without it", stacklevel=2)
        return None


def _is_log(ranges: Mapping[str, Range], setting: str) -> bool:
    return getattr(ranges.get(setting), "log", False)


def _records(frame: pd.DataFrame) -> list[dict[str, Any]]:
    gaps_as_none = frame.astype(object).where(frame.notna(), None)
    return [{str(k): v for k, v in row.items()} for row in gaps_as_none.to_dict("records")]


def _html(figure: Any) -> Markup:
    html = figure.to_html(
        full_html=False,
        include_plotlyjs=False,
        config={"displayModeBar": False, "responsive": True},
    )
    return Markup(html)  # noqa: S704 - plotly escapes what it shows


def _plotly_source() -> str:
    from plotly.offline import get_plotlyjs

    source: str = get_plotlyjs()
    return source
