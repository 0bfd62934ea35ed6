"""The examples of a run, ranked by the probability that their label is wrong."""

from __future__ import annotations

from pathlib import Path

import numpy as np
import pandas as pd

from famus_ray.errors import UserError
from famus_ray.reading.label_names import with_names
from famus_ray.reading.loaded import Loaded, load
from famus_ray.reading.many import Names, of_each
from famus_ray.reading.transitions import Estimate, estimate, judged
from famus_ray.records.samples import with_all_columns
from famus_ray.records.tables import LABELS, read_table

__all__ = [
    "Estimate",
    "LabelQuality",
    "estimate_wrong",
    "label_quality",
    "load_labels",
    "rank_labels",
    "what_is_missing",
    "why_weak",
]

LabelQuality = dict[str, float]

_TRUSTED_FROM = 0.25  # of the way from guessing to always right


def load_labels(runs: Names) -> pd.DataFrame:
    """The training examples of a run, the most suspicious label first, one row per example.

    Columns: `id`, `is_label_issue`, `label_score` in (0, 1), `given_label`, `predicted_label`,
    `loss` in nats, `judgements`, `true_label`; `rank_labels` explains them. For data in files also
    `file`, the path under `data.root`, and for data with names of classes `given_name` and
    `predicted_name`. Those of a study are of all its trials, with the columns `trial` and `seed`.

    Images that were held out of training, for validation or for the meta set, are not included,
    and a run that is resumed judges its labels again: see `what_is_missing`.

    Args:
        runs: a path, URL, or name under `runs/`; or several, as a list or a pattern such as
            `runs/*`. Of several the column `run` names the run or study.

    Raises:
        UserError: no such run, or one that has not judged its labels yet.
    """
    return of_each(runs, _labels)


def _labels(found: Loaded) -> pd.DataFrame:
    if not found.is_study:
        return with_names(found.path, rank_labels(found.samples))
    samples, lists = found.samples, []
    for trial, seed, path in found.folders():
        of_seed = samples["seed"].isna() if seed is None else samples["seed"].eq(seed)
        own = samples[samples["trial"].eq(trial) & of_seed.fillna(False)]
        if len(own):
            ranked = with_names(path, rank_labels(own))
            ranked.insert(0, "trial", trial)
            ranked.insert(1, "seed", pd.Series(seed, index=ranked.index, dtype="Int64"))
            lists.append(ranked)
    return pd.concat(lists, ignore_index=True)


def rank_labels(samples: pd.DataFrame) -> pd.DataFrame:
    """A ranking of examples by the judgements of several epochs and networks, one row per example.

    The columns are those of cleanlab's label issues, and some more:

    - `id`: the example's place in the data set's training order;
    - `is_label_issue`: whether its label is probably wrong: another class is more probable, and
      labels of that class are known to turn into this one (see `transitions`);
    - `label_score`: in (0, 1), the lower the more probably wrong, by the label's probability and
      its odds against the other class; no probability itself;
    - `given_label`: the label that training saw;
    - `predicted_label`: the most probable class; of an issue never the given label;
    - `loss`: mean cross-entropy of the given label, in nats; it ranks equal scores;
    - `judgements`: number of judgements (epochs times networks) in the row;
    - `true_label`: before corruption, -1 where unknown.

    Args:
        samples: rows of `tables.SAMPLES`.
    """
    samples = with_all_columns(samples)
    by_id = samples.groupby("id", sort=True)
    found = judged(samples)
    ranked = pd.DataFrame(
        {
            "is_label_issue": found["is_issue"],
            "label_score": found["score"],
            "given_label": found["label"],
            "predicted_label": found["rival"].where(
                found["p_rival"] > found["p_label"], found["label"]
            ),
            "loss": by_id["loss"].mean(),
            "judgements": by_id.size(),
            "true_label": by_id["true_label"].first(),
        }
    )
    ranked = ranked.sort_values(["label_score", "loss"], ascending=[True, False], kind="stable")
    return ranked.reset_index()


def estimate_wrong(samples: pd.DataFrame) -> Estimate:
    """The number of wrong labels among the judged ones, with an interval: see `Estimate`.

    Args:
        samples: rows of `tables.SAMPLES`.
    """
    return estimate(with_all_columns(samples))


def label_quality(ranked: pd.DataFrame) -> LabelQuality:
    """Measures of how well a ranking finds the labels that are known to be wrong, in [0, 1].

    - `auroc`: probability that a wrong label ranks before a right one; a tie counts one half;
    - `precision`: share of wrong labels among the first n, with n the number of wrong labels;
    - `wrong`: share of wrong labels.

    Labels with the same score, and the same loss if there is one, are ties: their order has no
    meaning, so both measures are the mean over all of their orders.

    Args:
        ranked: the most suspicious first, with `label_score`, `given_label` and `true_label`.

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
    groups = _equals(known).to_numpy()
    wrong_G = np.bincount(groups, weights=is_wrong)
    right_G = np.bincount(groups, weights=~is_wrong)
    right_after_G = right_G.sum() - right_G.cumsum()
    won = (wrong_G * (right_after_G + right_G / 2)).sum()
    size_G = wrong_G + right_G
    taken_G = (wrong - (size_G.cumsum() - size_G)).clip(0, size_G)  # of each among the first n
    return {
        "auroc": float(won / (wrong * (len(is_wrong) - wrong))),
        "precision": float((taken_G * wrong_G / size_G).sum() / wrong),
        "wrong": float(is_wrong.mean()),
    }


def _equals(ranked: pd.DataFrame) -> pd.Series[int]:
    """The index, from 0, of each row's group of ties."""
    keys = ranked[[c for c in ("label_score", "loss") if c in ranked]].fillna(np.inf)
    groups: pd.Series[int] = keys.ne(keys.shift()).any(axis=1).cumsum() - 1
    return groups


def why_weak(run: str | Path) -> str:
    """A message for the user if a run's judgements of its labels are weak evidence; else empty.

    They are weak if the accuracy on the split that selects the best epoch, at the last division,
    is less than a quarter of the way from that of guessing the most common label to 1.

    Args:
        run: its path, or its name under `runs/`.
    """
    found = load(run)
    samples = found.samples
    if not (found.path / "curves.parquet").is_file():
        return ""
    split, curves = found.config["run"]["select"], found.curves
    curves = curves[curves["metric"] == f"{split}/top1"]
    judged = curves.loc[curves["epoch"] <= samples["epoch"].max(), "value"]
    guessing = samples["label"].value_counts(normalize=True).max()
    if judged.empty or judged.iloc[-1] >= guessing + _TRUSTED_FROM * (1 - guessing):
        return ""
    return (
        f"weak evidence: the model that judged is right on {judged.iloc[-1]:.0%} of the {split} "
        f"data, always guessing the commonest label would be on about {guessing:.0%}; train it "
        "for longer before you trust this list"
    )


def what_is_missing(run: str | Path) -> list[str]:
    """Messages for the user on the limits of the list of a run's labels.

    They say how far an unfinished run is, and how many of the data set's training images are not
    in the list.

    Args:
        run: its path, or its name under `runs/`.
    """
    found_run = load(run)
    samples, path, config = found_run.samples, found_run.path, found_run.config
    judged, epochs = int(samples["epoch"].max()), int(config["schedule"]["epochs"])
    found = []
    if judged < epochs:
        found.append(
            f"the run has not finished: its labels were judged after epoch {judged} of {epochs}, "
            "and will be again"
        )
    left_out = _held_out(path)
    if left_out:
        counts = " and ".join(f"{count} {split}" for split, count in left_out.items())
        how = "; data.validation_fraction=0 run.select=test trains on the first, and ranks them"
        found.append(
            f"not in the list: {counts} images, which were held out of training"
            f"{how if 'validation' in left_out else ''}"
        )
    if config["data"]["imbalance"] > 1:
        found.append("not in the list: the training images that data.imbalance leaves out")
    return found


def _held_out(run: Path) -> dict[str, int]:
    """The number of the data set's training images in each other split that holds some."""
    if not (run / "labels.parquet").is_file():
        return {}
    labels = read_table(run / "labels.parquet", LABELS, ["id", "split"])
    by_split = {
        str(split): set(rows) for split, rows in labels.groupby("split", observed=True)["id"]
    }
    trained = by_split.get("train", set())
    # Ids of a data set's own validation or meta images start at 0 again, as its training images'.
    return {
        split: len(by_split[split])
        for split in ("validation", "meta")
        if by_split.get(split) and not by_split[split] & trained
    }
