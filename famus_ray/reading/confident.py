"""Confident learning (Northcutt et al. 2021) over the judgements of several epochs and networks."""

from __future__ import annotations

from typing import NamedTuple

import pandas as pd

__all__ = ["Estimate", "estimate", "judged"]


class Estimate(NamedTuple):
    """A number of wrong labels, and an interval.

    The interval spans rules of counting, it is no confidence interval: it says how far they
    disagree, and misses what all of them miss, such as errors that the network repeats.

    Attributes:
        wrong: labels whose mean judgement calls them wrong.
        low: labels that every single judgement calls wrong.
        high: the count scaled up by class to the examples of which nothing is confident, neither
            the label nor another class (the confident joint).
    """

    wrong: int
    low: int
    high: int


def judged(samples: pd.DataFrame) -> pd.DataFrame:
    """The mean judgement of each example, by id.

    - `label`: the given label;
    - `p_label`: its mean probability;
    - `rival`, `p_rival`: the other class with the highest mean probability, and that one; where
      it was not the rival in a judgement, it counts as 0 there;
    - `is_issue`: whether the rival is more probable than the label, and at least as probable as
      it is on average for the examples that have it as their label;
    - `is_confident`: the same of the label itself, against no rival.

    Args:
        samples: rows of `tables.SAMPLES`.
    """
    by_id = samples.groupby("id", sort=True)
    found = pd.DataFrame({"label": by_id["label"].first(), "p_label": by_id["p_label"].mean()})
    sums = samples.groupby(["id", "rival"], sort=True)["p_rival"].sum().reset_index()
    first = sums.sort_values(["id", "p_rival"], ascending=[True, False], kind="stable")
    rivals = first.drop_duplicates("id").set_index("id")
    found["rival"] = rivals["rival"]
    found["p_rival"] = rivals["p_rival"] / by_id.size()
    usual = found.groupby("label")["p_label"].mean()
    found["is_issue"] = (found["p_rival"] > found["p_label"]) & (
        found["p_rival"] >= found["rival"].map(usual)
    )
    found["is_confident"] = ~found["is_issue"] & (found["p_label"] >= found["label"].map(usual))
    return found


def estimate(samples: pd.DataFrame) -> Estimate:
    """The number of wrong labels and its interval.

    Args:
        samples: rows of `tables.SAMPLES`.
    """
    found = judged(samples)
    each = [judged(part)["is_issue"] for _, part in samples.groupby(["epoch", "network"])]
    in_all = int(pd.concat(each, axis=1).all(axis=1).sum())
    wrong = int(found["is_issue"].sum())
    of_label = found.groupby("label")[["is_issue", "is_confident"]].sum()
    share = of_label["is_issue"] / of_label.sum(axis=1).clip(lower=1)
    scaled = round(float((share * found["label"].value_counts()).sum()))
    return Estimate(wrong, min(in_all, wrong), max(scaled, wrong))
