"""The table of docs/results.md: every method on noisy digits, several seeds, equal epochs.

    python benchmarks/results.py
    python benchmarks/results.py --seeds 1 --methods ce,famus --noise sym40 --table -

Runs that are finished are not repeated, and one that was cut off goes on from its last epoch.
The table is written anew whenever a run ends, from all runs of this command that are there.
"""

from __future__ import annotations

import argparse
import os
import platform
import sys
from pathlib import Path

import pandas as pd

from famus_ray.config.resolve import resolve
from famus_ray.config.schema import Config
from famus_ray.errors import UserError
from famus_ray.files import write_text
from famus_ray.progress.epoch_bar import EpochProgress
from famus_ray.reading.folders import load_curves
from famus_ray.reading.summary import summarise
from famus_ray.records.run_folder import RunFolder
from famus_ray.scale.many import train_many

METHODS = {
    "ce": ("CE", ()),
    "mixup": ("mixup", ()),
    # Five epochs, as long as the pipelines' warm-up; its authors burn in, too.
    "mentormix": ("MentorMix", ("method=mentormix", "method.burn_in=90")),
    "clidmu": ("CLID-MU", ()),
    "l2rw": ("L2RW, clean meta set", ()),
    "mlc": ("MLC, clean meta set", ()),
    "mwnet": ("MW-Net, clean meta set", ()),
    "famus": ("FaMUS, clean meta set", ()),
    "dividemix": ("DivideMix", ()),
    "mwnet-pseudo": ("MW-Net, pseudo-clean", ("method=mwnet", "meta.source=pseudo_clean")),
    "famus-pseudo": ("FaMUS, pseudo-clean", ("method=famus", "meta.source=pseudo_clean")),
}
NOISE = {
    "sym20": ("20 %", ("noise.kind=symmetric", "noise.rate=0.2")),
    "sym40": ("40 %", ("noise.kind=symmetric", "noise.rate=0.4")),
    "sym60": ("60 %", ("noise.kind=symmetric", "noise.rate=0.6")),
    "sym80": ("80 %", ("noise.kind=symmetric", "noise.rate=0.8")),
    # DivideMix penalises confident predictions in the warm-up under asymmetric noise.
    "asym40": (
        "asym. 40 %",
        ("noise.kind=asymmetric", "noise.rate=0.4", "pipeline.warmup_penalty=true"),
    ),
}
# Without augmentation plain training learns wrong labels by heart within these few epochs,
# as it does on CIFAR within hundreds: otherwise there would be nothing to be robust against.
SETTINGS = (
    "data.augment=none", "optimiser.lr=0.02", "schedule.epochs=20", "pipeline.warmup=5",
    "pipeline.rampup=6", "division.keep=1", "run.checkpoint_every=5", "run.threads=1",
)  # fmt: skip


def config_of(method: str, noise: str, seed: int) -> Config:
    overrides = METHODS[method][1] or (f"method={method}",)
    return resolve("digits", [*SETTINGS, *NOISE[noise][1], *overrides, f"run.seed={seed}"]).config


def summary(path: Path, config: Config) -> tuple[float, float] | None:
    """Test accuracy at the best epoch and over the last ten, None for a run not finished."""
    folder = RunFolder(path)
    if not folder.samples.is_file() or not folder.last.is_file():
        return None
    folder.check_same(config)
    found = summarise(load_curves(path), config.run.select)
    return (found.best, found.last10) if found.epochs == config.schedule.epochs else None


def table(rows: pd.DataFrame, column: str) -> str:
    """Markdown: a row a method, a column a noise, mean and standard deviation in percent; what
    has not been run at all is left out."""
    noises = [n for n in NOISE if n in set(rows["noise"])]
    lines = [
        "| method | " + " | ".join(NOISE[n][0] for n in noises) + " |",
        "|---" * (len(noises) + 1) + "|",
    ]
    for method, (label, _) in METHODS.items():
        if method not in set(rows["method"]):
            continue
        cells = [_cell(rows, method, noise, column) for noise in noises]
        lines.append(f"| {label} | " + " | ".join(cells) + " |")
    return "\n".join(lines)


def _cell(rows: pd.DataFrame, method: str, noise: str, column: str) -> str:
    found = rows[(rows["method"] == method) & (rows["noise"] == noise)][column] * 100
    if found.empty:
        return ""
    return f"{found.mean():.2f}" + (f" ± {found.std():.2f}" if len(found) > 1 else "")


def page(rows: pd.DataFrame, seeds: int) -> str:
    counts = rows.groupby(["method", "noise"]).size()
    missing = rows["method"].nunique() * rows["noise"].nunique() - int((counts >= seeds).sum())
    unfinished = f" {missing} of the cells rest on fewer seeds." if missing else ""
    return f"""# Results on digits

scikit-learn's handwritten digits with corrupted training labels: symmetric noise (DivideMix's
convention: exactly that share of the labels redrawn over all classes) and asymmetric noise
(classes sent to a similar one). Test accuracy in percent, mean ± standard deviation over
{seeds} seed(s), of network initialisation, split, noise and order alike.{unfinished}

All methods: `digits` preset (PreAct ResNet-8, batch 64, cosine schedule), and
`{" ".join(s for s in SETTINGS if not s.startswith(("run.", "division.")))}`.
An epoch is a pass over the training set, for the pipelines over the labelled part by both
networks. Clean meta sets hold 10 examples of each class, which the other methods do not use.
What it says, and why, is in [pipeline.md](pipeline.md). Which layer grouping matters and how
surely, whether a search pays, and accuracy against the time of a step: [search.md](search.md).
Written by `python benchmarks/results.py` on {os.cpu_count()} CPU cores ({platform.machine()}).

## At the best epoch, picked on the clean validation split

{table(rows, "best")}

## Mean of the last 10 epochs

{table(rows, "last10")}
"""


def main() -> None:
    parser = argparse.ArgumentParser(
        description=__doc__, formatter_class=argparse.RawTextHelpFormatter
    )
    parser.add_argument("--seeds", type=int, default=5)
    parser.add_argument("--methods", default=",".join(METHODS), help=",".join(METHODS))
    parser.add_argument("--noise", default=",".join(NOISE), help=",".join(NOISE))
    parser.add_argument("--root", type=Path, default=Path("runs/results"))
    parser.add_argument("--table", default="docs/results.md", help="file, or - for the screen")
    given = parser.parse_args()
    chosen = [m for m in METHODS if m in given.methods.split(",")]
    noises = [n for n in NOISE if n in given.noise.split(",")]
    # Seeds outermost: what is there when it is cut off compares all methods.
    runs = [
        (method, noise, seed, given.root / noise / f"{method}-seed{seed}")
        for seed in range(given.seeds)
        for noise in noises
        for method in chosen
    ]
    configs = {path: config_of(method, noise, seed) for method, noise, seed, path in runs}
    found: dict[Path, tuple[float, float]] = {}

    def write() -> str:
        rows = [(m, n, s, *found[p]) for m, n, s, p in runs if p in found]
        columns = ["method", "noise", "seed", "best", "last10"]
        text = page(pd.DataFrame(rows, columns=columns), given.seeds)
        if given.table != "-" and rows:
            write_text(Path(given.table), text)
        return text

    for path, config in configs.items():
        if (done := summary(path, config)) is not None:
            found[path] = done
    missing = [(config, path) for path, config in configs.items() if path not in found]
    progress = EpochProgress("runs", len(runs))

    def on_done(path: Path) -> None:
        ended = summary(path, configs[path])
        assert ended is not None, path
        found[path] = ended
        write()
        progress.show(len(found), f"{path.parent.name}/{path.name} {ended[1]:.2%}")

    with progress:
        if missing:
            train_many(missing, on_done)
    text = write()
    if given.table == "-":
        sys.stdout.write(text)


if __name__ == "__main__":
    try:
        main()
    except UserError as error:
        sys.exit(f"{error}")
