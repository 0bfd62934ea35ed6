"""Whose list of wrong labels is better: ours, cleanlab's, or that of near neighbours.

    python benchmarks/label_lists.py
    python benchmarks/label_lists.py --seeds 1 --rankings ours "cleanlab, logistic regression"
    python benchmarks/label_lists.py --table

Fashion-MNIST (Debian's package dataset-fashion-mnist) with labels changed on purpose. Each cell,
a kind of noise, a seed and a ranking, is a line of a file: what has been run is not run again.
"""

from __future__ import annotations

import argparse
import gzip
import json
import tempfile
import time
import warnings
from collections.abc import Callable
from itertools import product
from pathlib import Path

import numpy as np
import pandas as pd
import torch
from numpy.typing import NDArray

from famus_ray.config import resolve
from famus_ray.config.schema import Config, NoiseConfig
from famus_ray.data.catalog import Dataset, Split
from famus_ray.data.noise import corrupt
from famus_ray.reading.labels import estimate_wrong, label_quality, rank_labels
from famus_ray.records.run_folder import RunFolder
from famus_ray.records.samples import read_samples
from famus_ray.training.loop import epochs
from famus_ray.training.out_of_sample import out_of_sample_probabilities

KINDS = {
    "none": ("none", 0.0), "symmetric 20 %": ("symmetric_excl", 0.2),
    "symmetric 40 %": ("symmetric_excl", 0.4), "next class 30 %": ("next", 0.3),
    "by image 30 %": ("instance", 0.3),
}  # fmt: skip
# What `famus-ray train FOLDER` chooses for these images, and a folder that is not used.
SETTINGS = (
    "data.root=.", "data.image_size=28", "data.channels=1", "data.augment=none",
    "data.meta_per_class=0", "model.name=preact_resnet8", "run.select=test", "run.threads=1",
    "run.diagnose_every=0", "run.checkpoint_every=8",
)  # fmt: skip
MEAN, STD = 0.286, 0.353
TESTED = 2000
FOLDS, NEIGHBOURS = 5, 20

Found = dict[str, float]


def fashion_mnist(root: Path, count: int, kind: str, seed: int) -> Dataset:
    """`count` training images, drawn with the seed, with labels changed, and 2,000 test images."""
    images, labels = read(root, "train")
    rng = np.random.default_rng([seed, 0x64726177])
    chosen = np.sort(rng.permutation(len(labels))[:count])
    images, labels = images[chosen], labels[chosen]
    given = changed(images, labels, *KINDS[kind], seed)
    train = split(images, given, labels)
    few = slice(TESTED)
    test_images, test_labels = (part[few] for part in read(root, "t10k"))
    none = train[torch.arange(0)]
    return Dataset("fashion_mnist", 10, train, none, none, split(test_images, test_labels),
                   (MEAN,), (STD,), f"{count} {kind} {seed}")  # fmt: skip


def read(root: Path, part: str) -> tuple[NDArray[np.uint8], NDArray[np.int64]]:
    """Images (N, 1, 28, 28) and labels (N,) of `train` or `t10k`."""
    with gzip.open(root / f"{part}-images-idx3-ubyte.gz") as file:
        images = np.frombuffer(file.read(), np.uint8, offset=16).reshape(-1, 1, 28, 28)
    with gzip.open(root / f"{part}-labels-idx1-ubyte.gz") as file:
        labels = np.frombuffer(file.read(), np.uint8, offset=8).astype(np.int64)
    return images, labels


def changed(
    images: NDArray[np.uint8], labels: NDArray[np.int64], kind: str, rate: float, seed: int
) -> NDArray[np.int64]:
    if kind == "next":  # exactly this share goes to the next class, of all classes
        wrong = np.random.default_rng([seed, 0x6E657874]).permutation(len(labels))
        given = labels.copy()
        given[wrong[: int(rate * len(labels))]] += 1
        return given % 10
    noise = NoiseConfig.model_validate({"kind": kind, "rate": rate})
    return corrupt(labels, 10, noise, seed, "fashion_mnist", inputs=lambda: flat(images))


def flat(images: NDArray[np.uint8]) -> NDArray[np.float32]:
    """Normalised pixels (N, 784)."""
    return ((images / 255 - MEAN) / STD).reshape(len(images), -1).astype(np.float32)


def split(
    images: NDArray[np.uint8], given: NDArray[np.int64], true: NDArray[np.int64] | None = None
) -> Split:
    arrays = (given, given if true is None else true, np.arange(len(given)))
    return Split(torch.from_numpy(images.copy()), *(torch.from_numpy(a) for a in arrays))


def trained(*settings: str) -> Callable[[Dataset, int], Found]:
    """A ranking by one run with these settings."""

    def ranking(data: Dataset, seed: int) -> Found:
        with tempfile.TemporaryDirectory() as folder:
            run = RunFolder(Path(folder) / "run")
            *_, last = epochs(config_of(data, seed, *settings), run, data=data)
            samples = read_samples(run.samples)
        ranked, estimate = rank_labels(samples), estimate_wrong(samples)
        return {**measured(ranked), **estimate._asdict(), "test": last.metrics["test/top1"]}

    return ranking


def config_of(data: Dataset, seed: int, *settings: str) -> Config:
    """What is chosen for this number of images, with settings of one's own."""
    chosen = ("schedule.epochs=8", "run.batch_size=64")
    if len(data.train) > 20_000:
        chosen = ("schedule.epochs=6", "run.batch_size=128")
    return resolve("own", [*SETTINGS, *chosen, f"run.seed={seed}", *settings]).config


def cleanlab_of_network(data: Dataset, seed: int) -> Found:
    """cleanlab's ranking by five networks like ours, none trained on the images it judges."""
    config = config_of(data, seed, "method=ce")
    return by_cleanlab(data, out_of_sample_probabilities(config, data, FOLDS))


def cleanlab_of_pixels(data: Dataset, seed: int) -> Found:
    """cleanlab's ranking by logistic regression on pixels, cross-validated."""
    from sklearn.exceptions import ConvergenceWarning
    from sklearn.linear_model import LogisticRegression
    from sklearn.model_selection import StratifiedKFold, cross_val_predict

    model = LogisticRegression(C=0.01, max_iter=100)  # of 0.001 to 0.1 the best at 20 %, seed 0
    folds = StratifiedKFold(FOLDS, shuffle=True, random_state=seed)
    pixels, labels = data.train.pixels.numpy().reshape(len(data.train), -1) / 255, given_of(data)
    with warnings.catch_warnings():
        warnings.simplefilter("ignore", ConvergenceWarning)
        found_NC = cross_val_predict(model, pixels, labels, cv=folds, method="predict_proba")
    return by_cleanlab(data, found_NC)


def by_cleanlab(data: Dataset, probabilities_NC: NDArray[np.float64]) -> Found:
    from cleanlab.filter import find_label_issues
    from cleanlab.rank import get_label_quality_scores

    given = given_of(data)
    scores = get_label_quality_scores(given, probabilities_NC)
    issues = find_label_issues(given, probabilities_NC)
    return measured(listed(data, scores, issues))


def near_pixels(data: Dataset, seed: int) -> Found:
    """The share of the 20 nearest images, by pixels, that have the label."""
    from sklearn.neighbors import NearestNeighbors

    del seed
    pixels, given = flat(data.train.pixels.numpy()), given_of(data)
    near = NearestNeighbors(n_neighbors=NEIGHBOURS).fit(pixels).kneighbors(return_distance=False)
    share = (given[near] == given[:, None]).mean(axis=1)
    return measured(listed(data, share, share < 1 / 2))


RANKINGS: dict[str, Callable[[Dataset, int], Found]] = {
    "ours": trained("method=ce"),
    "cleanlab, logistic regression": cleanlab_of_pixels,
    "neighbours by pixels": near_pixels,
    "ours, FaMUS by batches": trained("method=famus", "meta.source=batch"),
    "cleanlab, five networks": cleanlab_of_network,
    "ours, 16 epochs": trained("method=ce", "schedule.epochs=16"),
    "ours, DivideMix": trained("method=dividemix", "pipeline.warmup=3"),
}


def given_of(data: Dataset) -> NDArray[np.int64]:
    return data.train.labels.numpy()


def listed(data: Dataset, scores: NDArray[np.float64], issues: NDArray[np.bool_]) -> pd.DataFrame:
    ranked = pd.DataFrame(
        {
            "is_label_issue": issues,
            "label_score": scores,
            "given_label": given_of(data),
            "true_label": data.train.true_labels.numpy(),
        }
    )
    return ranked.sort_values("label_score", kind="stable")


def measured(ranked: pd.DataFrame) -> Found:
    """AUROC and precision of the order; share, precision and recall of the issues, in [0, 1]."""
    is_wrong = ranked["given_label"] != ranked["true_label"]
    issues = ranked["is_label_issue"]
    found = {"flagged": float(issues.mean()), "share": float(is_wrong.mean())}
    if not is_wrong.any():
        return found
    right = float((is_wrong & issues).sum())
    quality = label_quality(ranked)
    return found | {
        "auroc": quality["auroc"],
        "precision": quality["precision"],
        "issues_precision": right / max(int(issues.sum()), 1),
        "issues_recall": right / float(is_wrong.sum()),
    }


def table(cells: pd.DataFrame) -> str:
    """A Markdown table: means and standard deviations over seeds."""
    columns = [
        "noise",
        "ranking",
        "seeds",
        "AUROC",
        "precision",
        "issues: precision, recall",
        "CPU s",
    ]
    lines = [f"| {' | '.join(columns)} |", "|---" * len(columns) + "|"]
    for (kind, ranking), rows in cells.groupby(["kind", "ranking"], sort=False):
        issues = ", ".join(f"{rows[c].mean():.3f}" for c in ("issues_precision", "issues_recall"))
        lines.append(
            f"| {kind} | {ranking} | {len(rows)} | {spread(rows['auroc'], 4)} | "
            f"{spread(rows['precision'], 3)} | {issues} | {rows['seconds'].mean():.0f} |"
        )
    return "\n".join(lines)


def spread(values: pd.Series, digits: int) -> str:
    deviation = f" ± {values.std():.{digits}f}" if len(values) > 1 else ""
    return f"{values.mean():.{digits}f}{deviation}"


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__.splitlines()[0])
    parser.add_argument("--root", type=Path, default=Path("/usr/share/datasets/fashion-mnist"))
    parser.add_argument("--images", type=int, default=6000)
    parser.add_argument("--seeds", type=int, default=3)
    parser.add_argument("--kinds", nargs="+", choices=KINDS, default=list(KINDS))
    parser.add_argument("--rankings", nargs="+", choices=RANKINGS, default=list(RANKINGS)[:5])
    parser.add_argument("--cells", type=Path, default=Path("runs/label_lists.jsonl"))
    parser.add_argument("--table", action="store_true", help="only print what has been measured")
    options = parser.parse_args()
    options.cells.parent.mkdir(parents=True, exist_ok=True)
    options.cells.touch()
    wanted = product(range(options.seeds), options.kinds, options.rankings)
    done = [json.loads(line) for line in options.cells.read_text(encoding="utf-8").splitlines()]
    for seed, kind, ranking in [] if options.table else wanted:
        key = {"images": options.images, "kind": kind, "ranking": ranking, "seed": seed}
        if any(key.items() <= cell.items() for cell in done):
            continue
        data = fashion_mnist(options.root, options.images, kind, seed)
        began = time.process_time()
        cell = key | RANKINGS[ranking](data, seed)
        done.append(cell | {"seconds": round(time.process_time() - began, 1)})
        with options.cells.open("a", encoding="utf-8") as file:
            file.write(json.dumps(done[-1]) + "\n")
        print(json.dumps(done[-1]), flush=True)
    cells = pd.DataFrame(done)
    cells["place"] = cells["kind"].map(list(KINDS).index)
    ordered = cells.sort_values(["place", "ranking", "seed"])
    print(table(ordered[(ordered["kind"] != "none") & (ordered["images"] == options.images)]))


if __name__ == "__main__":
    main()
