"""Which labels are probably wrong, by the classes that labels of each class turn into.

The examples that the network is surest of show how often images of a class i carry another label
j: the anchors of Patrini et al. (CVPR 2017), who read the class transition off their
probabilities. Here the anchors' labels are counted. With T_ij the share of label j among the
anchors of i, and p the network's probabilities of labels, a label j beside the more probable class
i is wrong with the probability p_i T_ij / (T_ii p_j) where the classes themselves do not overlap.
On clean data T_ij is 0, so an image that two classes could own is no suspect there.
"""

from __future__ import annotations

from typing import NamedTuple

import numpy as np
import pandas as pd

__all__ = ["Estimate", "estimate", "judged"]

# Found on Fashion-MNIST with four kinds of noise, at one seed; docs/labels.md has the others.
_ANCHORS = 0.3  # share of the examples of a class, the surest first, that T is counted on
_MOST_ODDS = 6.0  # 2 if probabilities were exact; networks trained on noise are less decided
_OF_ODDS = 0.3  # exponent of the odds in a score, the rest is that of the label's probability
_LEAST = 1e-4  # added to probabilities: below, their ratios say nothing


class Estimate(NamedTuple):
    """A number of wrong labels, and an interval.

    It is the share of other labels among the anchors of each class, scaled up to all its
    examples. The fewer of the surest examples are asked, the lower it is: wrong labels make a
    network unsure. So the interval spans how many are asked. It is no confidence interval, and
    misses errors that the network repeats.

    Attributes:
        wrong: by the surest 30 % of the examples of each class.
        low: by the surest 10 %.
        high: by the surest 70 %.
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
    - `odds`: p_label T_ii / (p_rival T_ij) for the label j and the rival i;
    - `score`: in (0, 1), the lower the more suspicious: x / (1 + x) for x the weighted geometric
      mean of `p_label` and `odds`, since each of the two ranks some kinds of noise best;
    - `is_issue`: whether the rival is more probable than the label, and the odds are below 6.

    Args:
        samples: rows of `tables.SAMPLES`.
    """
    found = _means(samples)
    rates = _rates(_anchors(found, _ANCHORS))
    pairs = pd.MultiIndex.from_arrays([found["rival"], found["label"]])
    usual = found["rival"].map(rates.of_others).fillna(0.0)
    rate = np.where(pairs.isin(rates.of_pair.index), rates.of_pair.reindex(pairs), usual)
    found["odds"] = (found["p_label"] + _LEAST) / ((found["p_rival"] + _LEAST) * (rate + 1e-9))
    mean = (found["p_label"] + _LEAST) ** (1 - _OF_ODDS) * found["odds"] ** _OF_ODDS
    found["score"] = mean / (1 + mean)
    found["is_issue"] = (found["p_rival"] > found["p_label"]) & (found["odds"] < _MOST_ODDS)
    return found


def estimate(samples: pd.DataFrame) -> Estimate:
    """The number of wrong labels and its interval.

    Args:
        samples: rows of `tables.SAMPLES`.
    """
    found = _means(samples)
    low, wrong, high = (_scaled_up(found, share) for share in (0.1, 0.3, 0.7))
    return Estimate(wrong, min(low, wrong), max(high, wrong))


def _means(samples: pd.DataFrame) -> pd.DataFrame:
    """Label, rival and their mean probabilities, by id."""
    by_id = samples.groupby("id", sort=True)
    found = pd.DataFrame({"label": by_id["label"].first(), "p_label": by_id["p_label"].mean()})
    sums = samples.groupby(["id", "rival"], sort=True)["p_rival"].sum().reset_index()
    first = sums.sort_values(["id", "p_rival"], ascending=[True, False], kind="stable")
    rivals = first.drop_duplicates("id").set_index("id")
    found["rival"] = rivals["rival"]
    found["p_rival"] = rivals["p_rival"] / by_id.size()
    return found


def _anchors(found: pd.DataFrame, share: float) -> pd.DataFrame:
    """Class and label of the surest examples: this share of those of each class, at least one."""
    is_other = found["p_rival"] > found["p_label"]
    surest = pd.DataFrame(
        {
            "of": found["rival"].where(is_other, found["label"]),
            "label": found["label"],
            "p": found[["p_label", "p_rival"]].max(axis=1),
        }
    ).sort_values("p", ascending=False, kind="stable")
    of_class = surest.groupby("of")
    wanted = (of_class["p"].transform("size") * share).astype(int).clip(lower=1)
    return surest[of_class.cumcount() < wanted]


class _Rates(NamedTuple):
    """T_ij / T_ii by (i, j) for the pairs that occur, and that of all others by i."""

    of_pair: pd.Series[float]
    of_others: pd.Series[float]


def _rates(anchors: pd.DataFrame) -> _Rates:
    """The rates by counts n_ij, each drawn towards the mean m_i over all labels j but i.

    Rates that vary as if they were all the same are; the more they vary, the more each counts by
    itself: the posterior mean (m^2 + n v) / (m + v) of Poisson counts whose rates have a gamma
    distribution of mean m and variance v, with v as the counts show it over all classes.
    """
    counts = anchors.groupby(["of", "label"]).size()
    of, label = (counts.index.get_level_values(level) for level in range(2))
    total = counts.groupby(level="of").sum()
    right = counts[of == label].droplevel("label").reindex(total.index).fillna(0.0)
    others = max(len(pd.unique(anchors[["of", "label"]].to_numpy().ravel())) - 1, 1)
    mean = (total - right) / others
    wrong = counts[of != label]
    squares = (wrong**2).groupby(level="of").sum().reindex(total.index).fillna(0.0)
    variance = (squares - others * mean**2) / max(others - 1, 1)
    spread = max(float((variance - mean).mean()), 0.0)
    at = wrong.index.get_level_values(0)
    mean_at, right = mean.reindex(at).to_numpy(), right.clip(lower=1)
    drawn = (wrong * spread + mean_at**2) / (mean_at + spread) / right.reindex(at).to_numpy()
    return _Rates(drawn, mean**2 / (mean + spread).clip(lower=1e-9) / right)


def _scaled_up(found: pd.DataFrame, share: float) -> int:
    anchors = _anchors(found, share)
    is_wrong = (anchors["of"] != anchors["label"]).groupby(anchors["of"]).mean()
    of_class = found["rival"].where(found["p_rival"] > found["p_label"], found["label"])
    return round(float(of_class.map(is_wrong).sum()))
