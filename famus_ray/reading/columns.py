"""What is in each frame: type, unit and meaning of every column, in one place.

docs/frames.md and the metadata of Parquet files are made from it.
"""

from __future__ import annotations

from collections.abc import Iterable, Mapping

from famus_ray.records.ledger import COST, EXCESS, PARAMETER
from famus_ray.records.tables import CURVES, SAMPLES, TRIALS

__all__ = ["FRAMES", "about", "as_markdown"]

Column = tuple[str, str, str]  # dtype, unit, meaning

_TRIAL = ("int64", "", "number of the trial; of a single run its name (`category`)")
_OF_STUDY: Mapping[str, Column] = {
    "run": ("category", "", "the run or study, by the name it was read by; only of several"),
    "trial": ("int64", "", "number of the trial; only of a study"),
    "seed": ("Int64", "", "seed of the run; empty if the trial has one run; only of a study"),
}
FRAMES: Mapping[str, Mapping[str, Column]] = {
    "trials": {
        "run": _OF_STUDY["run"],
        **TRIALS.columns,
        f"{PARAMETER}<setting>": (
            "of its values",
            "",
            "a searched setting: `boolean`, `Int64`, `float64` or `category`; `object` where words "
            "and numbers mix; empty where its condition does not hold, the word null for null",
        ),
        f"{COST}<curve>": ("float64", "of the curve", "a minimised objective at the last report"),
        f"{EXCESS}<constraint>": (
            "float64", "of the curve", "excess of a constraint; above 0 where it is broken",
        ),
    },
    "curves": {
        "run": _OF_STUDY["run"],
        "trial": _TRIAL,
        "seed": ("Int64", "", "seed of the run; empty if the trial has one run only"),
        **CURVES.columns,
    },
    "samples": {**_OF_STUDY, **SAMPLES.columns},
    "labels": {
        **_OF_STUDY,
        "id": SAMPLES.columns["id"],
        "is_label_issue": ("bool", "", "whether the label is probably wrong"),
        "label_score": ("float64", "", "in (0, 1), the lower the more suspicious; no probability"),
        "given_label": ("int64", "", "the label that training saw"),
        "predicted_label": ("int64", "", "the most probable class"),
        "loss": ("float64", "nats", "mean cross-entropy of the given label"),
        "judgements": ("int64", "", "how many epochs and networks judged it"),
        "true_label": SAMPLES.columns["true_label"],
        "file": ("string", "", "the image's path under data.root; only for data in files"),
        "given_name": ("string", "", "name of the given class; only where classes have names"),
        "predicted_name": ("string", "", "name of the most probable class"),
    },
    "comparison": {
        "<setting>": ("of its values", "", "a setting that makes a condition or a method"),
        "mean": ("float64", "of the measure", "mean over seeds; accuracies are shares in [0, 1]"),
        "std": ("float64", "of the measure", "standard deviation of one run, over seeds"),
        "low": ("float64", "of the measure", "lower end of the interval of the mean"),
        "high": ("float64", "of the measure", "upper end"),
        "seeds": ("int64", "", "number of seeds"),
    },
}  # fmt: skip


def about(frame: str, columns: Iterable[str]) -> dict[str, dict[str, str]]:
    """Type, unit and meaning of a frame's columns, by name; unknown columns are left out.

    Args:
        frame: a key of `FRAMES`.
        columns: the names that the frame has.
    """
    known = FRAMES[frame]
    found = {}
    for name in columns:
        pattern = next((k for k in known if "<" in k and name.startswith(k.split("<")[0])), "")
        if column := known.get(name) or known.get(pattern):
            dtype, unit, meaning = column
            found[name] = {"type": dtype, "unit": unit, "meaning": meaning}
    return found


def as_markdown() -> str:
    """The columns of all frames as tables of Markdown, for the docs page."""
    parts = []
    for frame, columns in FRAMES.items():
        rows = "".join(
            f"| `{name}` | {dtype} | {unit} | {meaning} |\n"
            for name, (dtype, unit, meaning) in columns.items()
        )
        head = "| column | type | unit | meaning |\n|---|---|---|---|\n"
        parts.append(f"### {frame}\n\n{head}{rows}")
    return "\n".join(parts)
