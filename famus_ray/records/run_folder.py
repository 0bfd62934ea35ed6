"""The folder of a run and its files.

    config.yaml       every setting, resolved
    manifest.json     versions, git commit, seeds, hardware, data fingerprint
    labels.parquet    the labels that training saw, and the true ones
    curves.parquet    epoch, metric, value
    samples.parquet   each training example at each division, and at the end
    checkpoints/      last.pt to resume from, best.pt with the selected weights

`last.pt` is the last file written in an epoch. Without it the epoch is trained again, and the
other files' rows of that epoch are ignored.

A run can be read from its folder alone, and the folder can be moved.
"""

from __future__ import annotations

import json
import re
from collections.abc import Mapping, Sequence
from pathlib import Path
from typing import Any

import pandas as pd
import yaml

from famus_ray.config.resolve import resolve
from famus_ray.config.schema import Config, StudyConfig
from famus_ray.data.catalog import Dataset
from famus_ray.data.record import changes, labels_of
from famus_ray.errors import UserError
from famus_ray.files import replaced, write_json, write_text
from famus_ray.records.checkpoint import save_checkpoint
from famus_ray.records.folders import load_manifest
from famus_ray.records.manifest import manifest
from famus_ray.records.samples import read_samples
from famus_ray.records.tables import CURVES, LABELS, SAMPLES, read_table, write_table

__all__ = ["FREE_ON_RESUME", "RunFolder", "config_text"]

# A run may be resumed with other values of these settings: they do not change its results.
FREE_ON_RESUME = {
    "run.name", "run.root", "run.threads", "run.checkpoint_every", "run.device", "run.track",
    "data.root", "scale.address", "scale.autoscaling", "scale.cpus_per_worker",
    *(f"study.{name}" for name in StudyConfig.model_fields),
}  # fmt: skip


class RunFolder:
    """Reads and writes the files of one run."""

    def __init__(self, path: Path) -> None:
        self.path = path
        self.last = path / "checkpoints" / "last.pt"
        self.best = path / "checkpoints" / "best.pt"
        self.curves = path / "curves.parquet"
        self.samples = path / "samples.parquet"

    def begin(self, config: Config, data: Dataset) -> None:
        """Creates the folder and writes the files that exist before the first step."""
        self.path.mkdir(parents=True, exist_ok=True)
        if (self.path / "config.yaml").exists():  # interrupted early, or another run's folder
            self.check_same(config)
        self.check_checkpoints()
        self.curves.unlink(missing_ok=True)  # of epochs that will be trained again
        write_text(self.path / "config.yaml", config_text(config))
        write_json(self.path / "manifest.json", manifest(config, data))
        write_table(self.path / "labels.parquet", LABELS, labels_of(data))

    def check_same(self, config: Config) -> None:
        """Raises UserError unless `config` is the config that this run started with.

        Settings that do not change the results may differ.
        """
        path = self.path / "config.yaml"
        if not path.is_file():
            raise UserError(f"{self.path}: no run to resume: it has no config.yaml")
        saved = resolve(path).config.model_dump()
        differing = [
            f"{section}.{key} is {saved[section][key]} there and {value} here"
            for section, values in config.model_dump().items()
            for key, value in values.items()
            if saved[section][key] != value and f"{section}.{key}" not in FREE_ON_RESUME
        ]
        if differing:
            raise UserError(f"{path}: not the same run: {'; '.join(differing)}")

    def check_data(self, data: Dataset) -> None:
        """Raises UserError unless images, labels, classes and split are those of the run's start,
        as far as the folder records them."""
        labels = self.path / "labels.parquet"
        known = read_table(labels, LABELS) if labels.is_file() else None
        found = changes(load_manifest(self.path)["data"], known, data)
        if found:
            raise UserError(
                f"{self.path}: the data have changed since this run began: {'; '.join(found)}. It "
                "would train on what it was to be judged by; put the data back as they were, or "
                "train anew under another name"
            )

    def is_finished(self, epochs: int) -> bool:
        """Whether a run of `epochs` epochs is finished: its last division has been written."""
        if not self.samples.is_file():
            return False
        return bool(read_table(self.samples, SAMPLES, ["epoch"])["epoch"].max() >= epochs)

    def check_checkpoints(self) -> None:
        """Raises UserError if a checkpoint has been lost: the run would start from the beginning.

        The curves show it. `best.pt` is written before the first curves, and `last.pt` before the
        curves of the epoch after the first checkpoint.
        """
        if self.last.is_file() or not self.curves.is_file():
            return
        reached = int(read_table(self.curves, CURVES, ["epoch"])["epoch"].max())
        first = resolve(self.path / "config.yaml").config.run.checkpoint_every
        if reached > first or not self.best.is_file():
            raise UserError(
                f"{self.path}: its curves reach epoch {reached}, but {self.last} is gone, so it "
                "cannot go on; to train it again choose another name, or remove the folder"
            )

    def kept(self, epoch: int) -> Path:
        """The folder of the checkpoints of this epoch, from which other runs may continue."""
        return self.path / "checkpoints" / f"epoch-{epoch:04d}"

    def keep(self, epoch: int, state: Mapping[str, Any]) -> None:
        """Keeps the checkpoint `state` of this epoch, and a copy of the weights selected so far."""
        save_checkpoint(self.kept(epoch) / self.last.name, state)
        with replaced(self.kept(epoch) / self.best.name) as temporary:
            temporary.write_bytes(self.best.read_bytes())

    def write_curves(self, rows: Sequence[tuple[int, str, float]]) -> None:
        """Replaces the curves by `rows` of epoch, metric and value."""
        write_table(self.curves, CURVES, pd.DataFrame(rows, columns=list(CURVES.columns)))

    def read_curves(self, up_to_epoch: int) -> list[tuple[int, str, float]]:
        """The rows (epoch, metric, value) of the epochs up to the given one."""
        frame = read_table(self.curves, CURVES)
        kept = frame[frame["epoch"] <= up_to_epoch]
        return [(int(e), str(m), float(v)) for e, m, v in kept.itertuples(index=False)]

    def write_samples(self, samples: pd.DataFrame) -> None:
        """Replaces the divisions by `samples`, rows of `tables.SAMPLES`."""
        write_table(self.samples, SAMPLES, samples)

    def read_samples(self, up_to_epoch: int) -> pd.DataFrame | None:
        """The divisions of the epochs up to the given one; None before the first division."""
        if not self.samples.is_file():
            return None
        frame = read_samples(self.samples)
        kept = frame[frame["epoch"] <= up_to_epoch]
        return kept.reset_index(drop=True) if len(kept) else None


def config_text(config: Config, sources: dict[str, str] | None = None) -> str:
    """The config as YAML; with `sources`, each line names the source of its value."""
    lines = []
    for section, values in config.model_dump(mode="json").items():
        lines.append(f"{section}:")
        for key, value in values.items():
            line = f"  {key}: {_yaml_value(value)}"
            source = (sources or {}).get(f"{section}.{key}")
            lines.append(f"{line:<40}# {source}" if source else line)
    return "\n".join(lines) + "\n"


def _yaml_value(value: Any) -> str:
    """`value` in a form that readers of YAML 1.1 and of 1.2 read back alike.

    1e-05 is a string in YAML 1.1, and 1e3 a number in 1.2.
    """
    if isinstance(value, float) and "e" in repr(value) and "." not in repr(value):
        mantissa, _, exponent = repr(value).partition("e")
        return f"{mantissa}.0e{exponent}"
    if isinstance(value, str):
        plain = re.fullmatch(r"[A-Za-z_/][\w./-]*", value) and yaml.safe_load(value) == value
        return value if plain else json.dumps(value, ensure_ascii=False)
    return json.dumps(value)
