"""The runs and studies in a folder, with their progress; damaged ones are reported, too."""

from __future__ import annotations

import warnings
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from famus_ray.errors import UserError, first_line
from famus_ray.reading.loaded import Loaded
from famus_ray.reading.trials import best_of, is_replica
from famus_ray.records.claim import is_claimed
from famus_ray.records.ledger import FINAL, is_held
from famus_ray.records.tables import SAMPLES, read_table

__all__ = ["Found", "list_runs", "look_at"]


@dataclass(frozen=True)
class Found:
    """A run or study and its progress.

    Attributes:
        name: its path under the folder that was searched.
        kind: run or study.
        state: running, finished, interrupted, failed (no trial has a value) or damaged.
        what: method and data.
        done: number of completed epochs of a run, or of trials of a study that have ended.
        planned: number of epochs or trials in total.
        best: the highest accuracy on the split that selects (`run.select`), of a run or of a
            study's best trial; a share in [0, 1].
        note: the error message of a damaged one.
    """

    name: str
    kind: str
    state: str
    what: str = ""
    done: int | None = None
    planned: int | None = None
    best: float | None = None
    note: str = ""

    @property
    def progress(self) -> str:
        """Its state in words, such as `interrupted after 3 of 30 epochs`."""
        unit = "epochs" if self.kind == "run" else "trials"
        far = "" if self.planned is None else f" after {self.done} of {self.planned} {unit}"
        return f"{self.state}{far}"


def list_runs(root: str | Path = "runs") -> list[Found]:
    """The runs and studies under the folder `root`, by name; trials of studies are not listed.

    Raises:
        UserError: no such folder.
    """
    folder = Path(root).expanduser()
    if not folder.is_dir():
        raise UserError(f"{folder}: no such folder; `famus-ray train` makes runs/, --root names it")
    return sorted(_inside(folder, folder), key=lambda found: found.name)


def look_at(path: Path, name: str | None = None) -> Found | None:
    """The run or study in the folder `path`; None if it holds neither."""
    if not any((path / file).is_file() for file in ("config.yaml", "ledger.jsonl", "space.yaml")):
        return None
    name = name or path.name
    kind = "run"
    try:
        with warnings.catch_warnings():
            warnings.simplefilter("ignore")  # on damaged lines of a ledger
            found = Loaded(path)
            kind = "study" if found.is_study else "run"
            return _study(found, name) if kind == "study" else _run(found, name)
    except (UserError, OSError, KeyError, TypeError, ValueError) as error:
        return Found(name, kind, "damaged", note=first_line(error))


def _inside(folder: Path, root: Path) -> Iterator[Found]:
    try:
        below = [path for path in folder.iterdir() if path.is_dir() and not path.is_symlink()]
    except OSError:  # no permission
        return
    for path in below:
        found = look_at(path, str(path.relative_to(root)))
        if found is not None:
            yield found
        elif not path.name.startswith("."):
            yield from _inside(path, root)


def _run(run: Loaded, name: str) -> Found:
    path, config = run.path, run.config
    what, planned = _what(config), int(config["schedule"]["epochs"])
    done, best = 0, None
    if (path / "curves.parquet").is_file():
        curves = run.curves
        chosen = curves.loc[curves["metric"] == f"{config['run']['select']}/top1", "value"]
        done, best = int(curves["epoch"].max()), float(chosen.max())
    state = "interrupted"
    if is_claimed(path):
        state = "running"
    elif done >= planned and (path / "samples.parquet").is_file():
        judged = read_table(path / "samples.parquet", SAMPLES, ["epoch"])["epoch"].max()
        state = "finished" if judged >= planned else state
    return Found(name, "run", state, what, done, planned, best)


def _study(study: Loaded, name: str) -> Found:
    path, config, trials = study.path, study.config, study.trials
    trials = trials[~is_replica(trials) & trials["parent"].isna()]
    done, planned = int(trials["state"].isin(FINAL).sum()), int(config["study"]["trials"])
    best = best_of(trials)
    ledger = path / "ledger.jsonl"
    state = "interrupted"
    if is_claimed(path) or (ledger.is_file() and is_held(ledger)):
        state = "running"
    elif done >= planned:
        state = "finished" if best is not None else "failed"
    value = None if best is None else best.value
    return Found(name, "study", state, _what(config), done, planned, value)


def _what(config: dict[str, dict[str, object]]) -> str:
    return f"{config['method']['name']} on {config['data']['name']}"
