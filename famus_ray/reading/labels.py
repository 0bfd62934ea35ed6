"""The examples of a run, ranked by how probably their label is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from famus_ray.errors import UserError
from famus_ray.reading.folders import find_folder, load_config, load_curves, load_samples

__all__ = ["LabelQuality", "label_quality", "load_labels", "rank_labels", "why_weak"]

LabelQuality = dict[str, float]

_ISSUE_BELOW = 0.5
_TRUSTED_FROM = 0.25  # of the way from guessing to always right


def load_labels(run: str | Path) -> pd.DataFrame:
    """One row a training example, the most suspicious label first: `id`, `is_label_issue`,
    `label_score` (probability in [0, 1] that the given label is right), `given_label`,
    `predicted_label`, `loss` in nats, `judgements`, `true_label`; `rank_labels` explains them.

    Args:
        run: its path, or its name under `runs/`.

    Raises:
        UserError: no such run, or one that has not judged its labels yet.
    """
    return rank_labels(load_samples(run))


def rank_labels(samples: pd.DataFrame) -> pd.DataFrame:
    """One row an example from the judgements of several epochs and networks (`tables.SAMPLES`).

    The columns are those of cleanlab's label issues, and what they come from:

    - `id`: the example's place in the data set's training order;
    - `is_label_issue`: its label is more probably wrong than right;
    - `label_score`: probability that the label is right, in [0, 1]: mean of p_clean;
    - `given_label`: the label that training saw;
    - `predicted_label`: the class most often predicted, of equals the one predicted last;
    - `loss`: mean cross-entropy of the given label, in nats; it ranks equal scores;
    - `judgements`: divisions, times networks, that the row sums up;
    - `true_label`: before corruption, -1 where unknown.
    """
    p_clean = samples["p_clean"].fillna(np.exp(-samples["loss"]))
    by_id = samples.assign(p_clean=p_clean).groupby("id", sort=True)
    ranked = pd.DataFrame(
        {
            "label_score": by_id["p_clean"].mean(),
            "given_label": by_id["label"].first(),
            "predicted_label": _most_predicted(samples),
            "loss": by_id["loss"].mean(),
            "judgements": by_id.size(),
            "true_label": by_id["true_label"].first(),
        }
    )
    ranked.insert(0, "is_label_issue", ranked["label_score"] < _ISSUE_BELOW)
    ranked = ranked.sort_values(["label_score", "loss"], ascending=[True, False], kind="stable")
    return ranked.reset_index()


def label_quality(ranked: pd.DataFrame) -> LabelQuality:
    """How well a ranking finds the labels that are known to be wrong.

    - `auroc`: probability that a wrong label ranks before a right one;
    - `precision`: share of wrong labels among the first n, n the number of wrong labels;
    - `wrong`: their share of all labels.

    Args:
        ranked: the most suspicious first, with `given_label` and `true_label`.

    Raises:
        UserError: no label is known to be wrong, or none to be right.
    """
    known = ranked[ranked["true_label"] >= 0]
    is_wrong = (known["given_label"] != known["true_label"]).to_numpy()
    wrong = int(is_wrong.sum())
    if wrong in (0, len(is_wrong)):
        raise UserError(
            "the ranking can be measured only where wrong labels are known: with noise.kind, "
            "CIFAR-N's files, or a table with clean_label"
        )
    places = np.arange(len(is_wrong))
    right_before = places[is_wrong] - np.arange(wrong)
    auroc = 1 - right_before.sum() / (wrong * (len(is_wrong) - wrong))
    return {
        "auroc": float(auroc),
        "precision": float(is_wrong[:wrong].mean()),
        "wrong": float(is_wrong.mean()),
    }


def why_weak(run: str | Path) -> str:
    """One line for people where a run's judgements of its labels are weak evidence, else empty.

    They are where its accuracy on the data that selects its best epoch, at the last division, is
    not a quarter of the way from that of guessing the commonest label to 1.

    Args:
        run: its path, or its name under `runs/`.
    """
    samples, path = load_samples(run), find_folder(run)
    if not (path / "curves.parquet").is_file():
        return ""
    split = load_config(path)["run"]["select"]
    curves = load_curves(path).query("metric == @split + '/top1'")
    judged = curves.loc[curves["epoch"] <= samples["epoch"].max(), "value"]
    guessing = samples["label"].value_counts(normalize=True).max()
    if judged.empty or judged.iloc[-1] >= guessing + _TRUSTED_FROM * (1 - guessing):
        return ""
    return (
        f"weak evidence: the model that judged is right on {judged.iloc[-1]:.0%} of the {split} "
        f"data, always guessing the commonest label would be on about {guessing:.0%}; train it "
        "for longer before you trust this list"
    )


def _most_predicted(samples: pd.DataFrame) -> pd.Series[int]:
    votes = samples.groupby(["id", "prediction"])["epoch"].agg(["size", "max"]).reset_index()
    votes = votes.sort_values(["id", "size", "max"], kind="stable")
    winner: pd.Series[int] = votes.groupby("id")["prediction"].last()
    return winner
