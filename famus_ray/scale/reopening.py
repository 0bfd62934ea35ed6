"""Opening an existing study: changes since it was last opened, and lost events."""

from __future__ import annotations

import shutil
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pandas as pd

from famus_ray.config.mistakes import joined
from famus_ray.config.resolve import load_yaml
from famus_ray.data.catalog import Dataset
from famus_ray.errors import UserError
from famus_ray.records.ledger import FINAL, append_event, in_place, read_events, table_of
from famus_ray.records.rebuilt import lost_events
from famus_ray.records.saved_space import last_opening
from famus_ray.scale.own_settings import flat
from famus_ray.scale.trial_check import check_trials
from famus_ray.spaces.space import Space
from famus_ray.spaces.space_changes import (
    Opening,
    changes,
    refused_changes,
    refused_values,
)
from famus_ray.spaces.study_checks import check_study
from famus_ray.store import remove
from famus_ray.training.estimate import counted
from famus_ray.training.loop import checked_data

__all__ = ["Reopened", "reopened"]


@dataclass
class Reopened:
    """A study that can continue; nothing is written yet.

    Attributes:
        path: the study's folder.
        space: the current search space.
        now: the space and config that it is opened with.
        before: those that it was last opened with; None if the ledger has no record.
        events: of the ledger, with lost ones rebuilt, in order.
        lost: the rebuilt events.
        drawn: number of trials started, without children and the leaders' further seeds.
        retried: number of failed trials that will be run again.
    """

    path: Path
    space: Space
    now: Opening
    before: Opening | None
    events: list[dict[str, Any]]
    lost: list[dict[str, Any]]
    drawn: int
    data: Dataset | None
    retried: int = 0

    @property
    def ended(self) -> int:
        """The number of trials that have ended, without those that `resume` starts again."""
        states = {e["trial_id"]: e for e in self.events if "trial_id" in e}
        return sum(e["event"] in FINAL and not e.get("lost") for e in states.values())

    def lines(self, left_out: int) -> Iterator[str]:
        """Messages for the user about changes and rebuilt events.

        Args:
            left_out: number of trials that the searcher does not know.
        """
        changed = changes(self.before, self.now) if self.before else []
        if changed:
            yield f"changed since the study was opened last: {'; '.join(changed)}"
        if left_out:
            yield (
                f"{left_out} of {self.drawn} earlier trials lie outside of the space as it is now: "
                "they keep their values, and the searcher is not told of them"
            )
        if rebuilt := {e["trial_id"] for e in self.lost}:
            yield (
                f"{counted(len(rebuilt), 'trial')} that the ledger had lost in part or whole: put "
                "back from the trials' folders; times and reasons that were nowhere else are empty"
            )
        if self.retried:
            yield f"{self.retried} that failed are tried again"

    def write(self, *, retry_failed: bool = False) -> None:
        """Adds lost events, a changed space and retries to the ledger, whose lock is held."""
        ledger = self.path / "ledger.jsonl"
        for event in self.lost:
            append_event(ledger, **event)
        if self.before != self.now:
            base = self.space.base.config.model_dump(mode="json")
            append_event(ledger, "space", space=self.now.space, base=base)
        if retry_failed:
            self._retry(ledger)

    def _retry(self, ledger: Path) -> None:
        table = table_of(self.events)
        for _, row in table[table["state"] == "failed"].iterrows():
            # A child of pbt starts from its parent's checkpoint.
            anew = not row["epochs"] and bool(pd.isna(row["parent"]))
            if anew:  # nothing was trained: it starts with the current settings
                folder = self.path / "trials" / str(row["trial_id"])
                shutil.rmtree(folder, ignore_errors=True)
                remove(folder)
            append_event(ledger, "retried", str(row["trial_id"]), anew=anew)
            self.retried += 1


def reopened(path: Path, space: Space) -> Reopened:
    """The study in the folder `path`, to be continued with this space.

    Raises:
        UserError: a study that cannot run, or a change after which earlier trials could not be
            compared with new ones.
    """
    check_study(space.base.config)
    events = read_events(path / "ledger.jsonl")
    lost = lost_events(path, events)
    whole = in_place(events, lost)
    begun = [e for e in whole if e["event"] == "started"]
    if not begun and any(path.glob("trials/*")):
        raise UserError(f"{path}: has trials, but ledger.jsonl, which knows of them, is gone")
    before = last_opening(path)
    now = Opening(load_yaml(path / "space.yaml"), flat(space.base.config))
    if before is not None:
        problems = [*refused_changes(before, now)]
    else:
        problems = [*_refused_by_the_trials(space, begun, whole)]
    if problems:
        raise UserError(joined(str(path), list(dict.fromkeys(problems))))
    data = None
    if before is not None and changes(before, now):
        data = checked_data(space.base.config)
        check_trials(space, data)
    drawn = sum("replicates" not in e and "parent" not in e for e in begun)
    return Reopened(path, space, now, before, whole, lost, drawn, data)


def _refused_by_the_trials(
    space: Space, begun: list[dict[str, Any]], events: list[dict[str, Any]]
) -> Iterator[str]:
    """Messages on settings that cannot be compared with the trials of the study.

    For studies of an older version, whose ledger has no record of space and config.
    """
    for event in begun:
        yield from refused_values(space.entries, event["params"], event["trial_id"])
    study = space.base.config.study
    reports = (event for event in events if event["event"] == "reported")
    first = next(reports, None)
    if first is not None and {*first.get("costs", {})} != {*study.minimise}:
        was = ", ".join(first.get("costs", {})) or "nothing"
        yield (
            f"study.minimise = {list(study.minimise)}: its trials minimised {was}; put it back, or "
            "begin a new study"
        )
